import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.Date;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import org.postgresql.PGConnection;

/** pgjdbc: its metadata, which DBeaver and every tool of Java reads, and questions. One line for each check. */
public final class Drivers {
    private static final String PATIENTS = "SELECT count(*) AS n FROM patients";
    private static final String BY_SEX =
        "SELECT sex, count(*) AS n, sum(age) AS years FROM patients GROUP BY sex ORDER BY sex";
    private static final String JOINED =
        "SELECT p.sex, count(*) AS n FROM visits v JOIN patients p ON p.id = v.patient_id"
            + " WHERE v.kind = 'planned' GROUP BY p.sex ORDER BY p.sex";
    private static final String CITIES = "SELECT name, region FROM cities ORDER BY name";

    private interface Act {
        Object run() throws Exception;
    }

    private static void check(String name, Act act) {
        try {
            System.out.println(name + ": " + act.run());
        } catch (SQLException error) {
            System.out.println(name + " ! " + error.getSQLState() + " " + error.getMessage().replace('\n', '|'));
        } catch (Exception error) {
            System.out.println(name + " ! " + error);
        }
    }

    private static String rows(ResultSet found, String... columns) throws SQLException {
        List<String> all = new ArrayList<>();
        ResultSetMetaData described = found.getMetaData();
        while (found.next()) {
            List<String> row = new ArrayList<>();
            if (columns.length == 0) {
                for (int i = 1; i <= described.getColumnCount(); i++) {
                    row.add(String.valueOf(found.getObject(i)));
                }
            }
            for (String column : columns) {
                row.add(String.valueOf(found.getObject(column)));
            }
            all.add(row.toString());
        }
        found.close();
        return all.toString();
    }

    private static String described(ResultSetMetaData found) throws SQLException {
        List<String> all = new ArrayList<>();
        for (int i = 1; i <= found.getColumnCount(); i++) {
            all.add(found.getColumnLabel(i) + " " + found.getColumnTypeName(i) + " " + found.getTableName(i)
                + " " + found.isNullable(i) + " " + found.getPrecision(i));
        }
        return all.toString();
    }

    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        properties.setProperty("user", System.getenv("PGUSER"));
        properties.setProperty("password", System.getenv("PGPASSWORD"));
        properties.setProperty("sslmode", System.getenv("PGSSLMODE"));
        String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/"
            + System.getenv("PGDATABASE") + "?" + arguments[0];
        try (Connection connection = DriverManager.getConnection(url, properties)) {
            metadata(connection.getMetaData());
            queries(connection);
            transactions(connection);
            cursors(connection);
        }
    }

    private static void metadata(DatabaseMetaData data) {
        check("product", () -> data.getDatabaseProductName() + " " + data.getDatabaseProductVersion());
        check("catalogs", () -> rows(data.getCatalogs()));
        check("schemas", () -> rows(data.getSchemas(null, "pub%"), "TABLE_SCHEM"));
        check("table types", () -> rows(data.getTableTypes()));
        check("tables", () -> rows(data.getTables(null, "public", "%", new String[] {"TABLE", "VIEW"}),
            "TABLE_SCHEM", "TABLE_NAME", "TABLE_TYPE"));
        check("columns", () -> rows(data.getColumns(null, "public", "%", "%"), "TABLE_NAME", "COLUMN_NAME",
            "TYPE_NAME", "COLUMN_SIZE", "DECIMAL_DIGITS", "IS_NULLABLE", "COLUMN_DEF", "ORDINAL_POSITION"));
        check("keys", () -> rows(data.getPrimaryKeys(null, "public", "visits"), "COLUMN_NAME", "KEY_SEQ"));
        check("imported", () -> rows(data.getImportedKeys(null, "public", "visits"),
            "PKTABLE_NAME", "PKCOLUMN_NAME", "FKTABLE_NAME", "FKCOLUMN_NAME", "UPDATE_RULE"));
        check("exported", () -> rows(data.getExportedKeys(null, "public", "patients"), "FKTABLE_NAME"));
        check("indexes", () -> rows(data.getIndexInfo(null, "public", "cities", false, true),
            "NON_UNIQUE", "COLUMN_NAME"));
        check("types", () -> rows(data.getTypeInfo(), "TYPE_NAME", "DATA_TYPE").contains("int4, 4"));
        check("functions", () -> rows(data.getFunctions(null, "pg_catalog", "date_tr%"), "FUNCTION_NAME"));
        check("procedures", () -> rows(data.getProcedures(null, "public", "%")));
        check("keywords", () -> data.getSQLKeywords().length());
        check("limits", () -> data.getMaxColumnNameLength() + " " + data.getDefaultTransactionIsolation());
    }

    private static void queries(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            for (String text : new String[] {PATIENTS, BY_SEX, JOINED, CITIES}) {
                check("described " + text, () -> described(statement.executeQuery(text).getMetaData()));
                check(text, () -> rows(statement.executeQuery(text)));
            }
            check("several", () -> {
                List<String> seen = new ArrayList<>();
                boolean more = statement.execute(PATIENTS + "; SELECT 2; " + CITIES);
                while (more) {
                    seen.add(rows(statement.getResultSet()));
                    more = statement.getMoreResults();
                }
                return seen;
            });
            check("at most two", () -> {
                statement.setMaxRows(2);
                return rows(statement.executeQuery(BY_SEX));
            });
            statement.setMaxRows(0);
            check("unknown column", () -> statement.executeQuery("SELECT nope FROM patients"));
            check("unknown table", () -> statement.executeQuery("SELECT count(*) FROM nowhere"));
            check("no syntax", () -> statement.executeQuery("SELECT count(*) FRM patients"));
            check("timeout", () -> {
                statement.setQueryTimeout(1);
                return rows(statement.executeQuery("SELECT count(*) FROM generate_series(1, 30000) a, generate_series(1, 30000) b"));
            });
            statement.setQueryTimeout(0);
            check("after it", () -> rows(statement.executeQuery("SELECT 1")));
        }
        String text = "SELECT count(*) FROM patients WHERE age >= ? AND sex = ? AND bmi < ? AND born > ?";
        try (var statement = connection.prepareStatement(text)) {
            check("prepared and described", () -> described(statement.getMetaData()));
            check("types of parameters", () -> statement.getParameterMetaData().getParameterTypeName(1));
            for (int round = 0; round < 7; round++) { // after five it becomes a named statement
                statement.setInt(1, 10 + round);
                statement.setString(2, "male");
                statement.setBigDecimal(3, new BigDecimal("60.5"));
                statement.setDate(4, Date.valueOf("1930-01-01"));
                check("round " + round, () -> rows(statement.executeQuery()));
            }
        }
        try (var statement = connection.prepareStatement("SELECT count(*) FROM patients WHERE sex = ANY (?)")) {
            statement.setArray(1, connection.createArrayOf("text", new String[] {"male", "other"}));
            check("an array", () -> rows(statement.executeQuery()));
        }
    }

    private static void transactions(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            check("inside", () -> rows(statement.executeQuery(PATIENTS)));
            Savepoint savepoint = connection.setSavepoint("s");
            check("fails", () -> statement.executeQuery("SELECT 1/0"));
            check("failed", () -> rows(statement.executeQuery(PATIENTS)));
            connection.rollback(savepoint);
            check("recovered", () -> rows(statement.executeQuery(PATIENTS)));
            connection.rollback();
            check("isolation", () -> connection.getTransactionIsolation());
            connection.setReadOnly(true);
            check("read only", () -> rows(statement.executeQuery(PATIENTS)));
            connection.commit();
            connection.setReadOnly(false);
        }
        connection.setAutoCommit(true);
    }

    private static void cursors(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.setFetchSize(1);
            check("by portal", () -> rows(statement.executeQuery(BY_SEX)));
            check("by portal, public", () -> rows(statement.executeQuery(CITIES)));
        }
        try (Statement statement = connection.createStatement(
            ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_READ_ONLY)) {
            ResultSet found = statement.executeQuery(BY_SEX);
            check("last", () -> found.last() ? found.getString(1) : "none");
            check("first", () -> found.first() ? found.getString(1) : "none");
        }
        connection.commit();
        connection.setAutoCommit(true);
        check("copied", () -> {
            var text = new java.io.StringWriter();
            var copies = ((PGConnection) connection).getCopyAPI();
            copies.copyOut("COPY (" + BY_SEX + ") TO STDOUT WITH CSV", text);
            return text.toString().replace('\n', '|');
        });
        check("valid", () -> connection.isValid(5));
    }
}
