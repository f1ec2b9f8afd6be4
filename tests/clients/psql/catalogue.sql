-- Meta-commands and statements that read no protected row: the same over epsql as over Postgres.
\set VERBOSITY default
\conninfo
\echo :DBNAME :USER :SERVER_VERSION_NUM :ENCODING
\l
\dn
\dn+
\d
\d+
\dt
\dt+
\dt public.*
\dt *.cit*
\d patients
\d+ patients
\d visits
\d+ items
\d public.cities
\di
\di+
\ds
\dv
\dm
\df
\df *.count
\da pg_catalog.max
\dT
\dT int4
\do pg_catalog.~~
\dC text
\dD
\dc
\des
\dew
\det
\dE
\dF
\dL
\dx
\dy
\dp
\ddp
\dRp
\dRs
\drds
\sf pg_catalog.age(timestamp)
\z patients
\encoding
\h SELECT
\x auto
SELECT current_database(), current_user, session_user, current_schema;
SHOW server_version;
SHOW search_path;
SHOW transaction_isolation;
SELECT 1 AS one, 'text' AS two, NULL AS three, true AS four, 1.50 AS five;
SELECT name, region FROM cities ORDER BY name;
SELECT region, count(*) FROM public.cities GROUP BY region ORDER BY 1;
SELECT * FROM cities c JOIN (VALUES ('Oslo', 1), ('Hamar', 2)) v (name, n) USING (name) ORDER BY n;
\pset format csv
TABLE cities;
\pset format aligned
\pset expanded on
SELECT * FROM cities WHERE name = 'Oslo';
\pset expanded off
SELECT 3 AS n \gset last_
\echo :last_n
SELECT 2 + 3 AS five \gset
\echo :five
SELECT name FROM cities ORDER BY name LIMIT 2 \g (format=unaligned tuples_only=on)
SELECT 'SELECT ' || n FROM generate_series(1, 2) n \gexec
SELECT n % 2 AS odd, n AS v, 'x' || n AS w FROM generate_series(1, 4) n \crosstabview
SELECT region, name FROM cities \gdesc
SELECT count(*) AS n, avg(age) AS mean, max(born) AS last FROM patients \gdesc
SELECT $1::int + $2::int AS sum \bind 2 3 \g
\copy (SELECT * FROM cities ORDER BY name) TO STDOUT WITH (FORMAT csv, HEADER)
COPY (SELECT 1, 'a' UNION ALL SELECT 2, NULL) TO STDOUT;
PREPARE q (int) AS SELECT $1 * 2 AS twice;
EXECUTE q (21);
DEALLOCATE q;
BEGIN;
DECLARE c CURSOR FOR SELECT n FROM generate_series(1, 5) n;
FETCH 2 FROM c;
MOVE 1 FROM c;
FETCH ALL FROM c;
CLOSE c;
SAVEPOINT s;
SELECT 1 / 0;
SELECT 1;
ROLLBACK TO s;
SELECT 'again' AS recovered;
COMMIT;
SELECT 1 \; SELECT 2 \; SELECT 3;
SET DateStyle = 'German, DMY';
SELECT date '2020-01-31' AS day;
RESET DateStyle;
SET TimeZone = 'Asia/Tokyo';
SELECT timestamptz '2020-01-01 00:00Z' AS at;
RESET TimeZone;
SELECT nope FROM patients;
SELECT count(*) FROM nothing_here;
SELEC 1;
SELECT count(*) FROM patients WHERE age = 'old';
SELECT count(*) FROM patients WHERE ;
SELECT count(nope) FROM patients p;
SELECT upper(age) FROM patients;
\errverbose
\echo :SQLSTATE :ERROR :LAST_ERROR_MESSAGE
