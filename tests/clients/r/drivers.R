# R's way to Postgres: DBI with RPostgreSQL, dplyr over it, and RODBC with the driver's library that
# is named by the argument. Each line says what was seen.
library(DBI)
suppressPackageStartupMessages(library(dplyr))

text <- function(value) paste(capture.output(dput(value)), collapse = "")
say <- function(name, value) {
  cat(name, ": ", text(tryCatch(value, error = function(e) "failed")), "\n", sep = "")
}
of <- function(name) Sys.getenv(name)
by_sex <- "SELECT sex, count(*) AS n, sum(age) AS years FROM patients GROUP BY sex ORDER BY sex"

con <- dbConnect(
  RPostgreSQL::PostgreSQL(), host = of("PGHOST"), port = of("PGPORT"), dbname = of("PGDATABASE"),
  user = of("PGUSER"), password = of("PGPASSWORD")
)
say("tables", sort(dbListTables(con)))
say("is there", c(dbExistsTable(con, "patients"), dbExistsTable(con, "nope")))
say("fields", dbListFields(con, "patients"))
say("by sex", dbGetQuery(con, by_sex))
say("parameters", dbGetQuery(
  con, "SELECT count(*) AS n FROM patients WHERE age >= $1 AND sex = $2", list(40, "male")
))
say("public", dbReadTable(con, "cities"))
result <- dbSendQuery(con, by_sex)
say("columns", dbColumnInfo(result)[c("name", "Sclass", "type")])
say("piecewise", list(fetch(result, 2), fetch(result, -1), dbHasCompleted(result)))
invisible(dbClearResult(result))
say("wrong", suppressWarnings(dbGetQuery(con, "SELECT nope FROM patients")))
say("afterwards", dbGetQuery(con, "SELECT count(*) AS n FROM patients"))

patients <- tbl(con, "patients")
say("columns of dplyr", colnames(patients))
say("counted", patients %>% count(sex) %>% arrange(sex) %>% collect() %>% as.data.frame())
say("summarised", patients %>% filter(age >= 40) %>% group_by(sex) %>%
  summarise(n = n(), years = sum(age, na.rm = TRUE)) %>% arrange(sex) %>% collect() %>% as.data.frame())
invisible(dbDisconnect(con))

driver <- commandArgs(trailingOnly = TRUE)
if (length(driver)) {
  odbc <- RODBC::odbcDriverConnect(sprintf(
    "DRIVER=%s;SERVER=%s;PORT=%s;DATABASE=%s;UID=%s;PWD=%s;SSLmode=%s",
    driver, of("PGHOST"), of("PGPORT"), of("PGDATABASE"), of("PGUSER"), of("PGPASSWORD"), of("PGSSLMODE")
  ))
  say("odbc tables", RODBC::sqlTables(odbc, schema = "public")[c("TABLE_NAME", "TABLE_TYPE")])
  say("odbc columns", RODBC::sqlColumns(odbc, "patients")[c("COLUMN_NAME", "TYPE_NAME", "COLUMN_SIZE")])
  say("odbc keys", RODBC::sqlPrimaryKeys(odbc, "visits")[c("TABLE_NAME", "COLUMN_NAME")])
  say("odbc by sex", RODBC::sqlQuery(odbc, by_sex))
  say("odbc public", RODBC::sqlFetch(odbc, "cities"))
  RODBC::odbcClose(odbc)
}
