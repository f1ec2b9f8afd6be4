"""Texts written by hand: what has to pass, what has to be refused, and what is not the same."""

from __future__ import annotations

EXPRESSIONS = """
a
t.a
s.t.a
"A"
"count"
T.A
year
0
0012
2147483647
2147483648
99999999999999999999
1.
.5
1.50
1e5
1E-3
-1
-(1)
-(-1)
- - 1
-2147483648
- a
-a * b
- (a + b)
a - -1
2 - + 1
'x'
''
'it''s'
'a\\b'
'ü € 😀'
'--'
'/*'
NULL
TRUE
false
$1
$1 + $12
a + b
a - b - c
a - (b - c)
a * b + c
a * (b + c)
a / b / c
a / (b / c)
a % b
a || b || c
a || (b || c)
a || b + c
a = b
a <> b
a != b
a < b
a <= b
a > b
a >= b
a + 1 = b * 2
a AND b AND c
a AND (b AND c)
a OR b OR c
a OR b AND c
(a OR b) AND c
NOT a
NOT NOT a
NOT (a AND b)
NOT a AND b
NOT a = b
NOT a OR NOT b
a AND NOT b
a IS NULL
a IS NOT NULL
a ISNULL
a NOTNULL
NOT a IS NULL
a + b IS NULL
a = b IS NULL
(a = b) IS NOT NULL
a IS TRUE
a IS NOT TRUE
a IS FALSE
a IS NOT FALSE
a IS UNKNOWN
a IS NOT UNKNOWN
NOT a IS TRUE
a IS TRUE IS FALSE
a IS DISTINCT FROM b
a IS NOT DISTINCT FROM b
a IS DISTINCT FROM b + 1
a IS DISTINCT FROM b AND c
a IN (1)
a IN ((1))
a IN (1, 2, 3)
a NOT IN (1, 2)
NOT a IN (1)
(a, b) IN ((1, 2), (3, 4))
a + 1 IN (b, c * 2)
a IN (SELECT b FROM u)
a NOT IN (SELECT b FROM u)
EXISTS (SELECT 1 FROM u)
NOT EXISTS (SELECT 1 FROM u)
(SELECT 1)
((SELECT 1))
a BETWEEN 1 AND 2
a NOT BETWEEN 1 AND 2
NOT a BETWEEN 1 AND 2
a BETWEEN 1 + 1 AND 2 * 3
a BETWEEN 1 AND 2 AND b
a BETWEEN 1 AND 2 OR b
a BETWEEN SYMMETRIC 2 AND 1
a NOT BETWEEN SYMMETRIC 2 AND 1
a LIKE 'x%'
a NOT LIKE 'x%'
a ILIKE 'x%'
a NOT ILIKE 'x%'
NOT a LIKE 'x%'
a LIKE 'x!%' ESCAPE '!'
a NOT LIKE 'x!%' ESCAPE '!'
a NOT ILIKE 'x' ESCAPE ''
a || b LIKE 'x'
CASE WHEN a THEN b END
CASE WHEN a THEN b ELSE c END
CASE WHEN a THEN b WHEN c THEN 1 ELSE 2 END
CASE a WHEN 1 THEN 2 WHEN 3 THEN 4 ELSE 5 END
CASE WHEN a = 1 OR b THEN CASE b WHEN 1 THEN 2 END END
coalesce(a, b)
coalesce(a)
COALESCE(a, b, 0)
nullif(a, b)
greatest(a, b)
greatest(a)
least(a, b, c)
a::int
a::integer
a::int4
a::"int4"
a::bigint
a::int8
a::smallint
a::int2
a::numeric
a::decimal
a::dec
a::numeric(10)
a::numeric(10,2)
a::decimal(10, 2)
a::float
a::float8
a::double precision
a::real
a::float4
a::text
a::varchar
a::varchar(10)
a::character varying(10)
a::char
a::char(3)
a::bpchar
a::bool
a::boolean
a::date
a::time
a::timestamp
a::timestamp(3)
a::timestamp without time zone
a::timestamptz
a::timestamp with time zone
a::uuid
a::interval
CAST(a AS int)
CAST(a + b AS numeric(4,1))
a::int::text
(a + b)::int
-a::int
-1::int
a::date + 1
'1'::int
'2020-01-01'::date
date '2020-01-01'
DATE '2020-01-01' + 1
timestamp '2020-01-01 10:00:00'
timestamptz '2020-01-01'
timestamp with time zone '2020-01-01'
interval '1 day'
interval '2 days'
INTERVAL '-3 hours'
interval '1.5 days'
interval '1 month 2 days'
interval '1' day
interval '3' MONTH
'1 day'::interval
a + interval '1 day'
a - INTERVAL '1 month'
interval '1 day' + a
abs(a)
ABS(a)
ceil(a)
ceiling(a)
floor(a)
round(a)
round(a, 2)
trunc(a)
trunc(a, 2)
sign(a)
mod(a, b)
mod(a + 1, b - 2)
div(a, b)
div(a, b)::int
div(a, b)::numeric
power(a, 2)
pow(a, 2)
sqrt(a)
exp(a)
ln(a)
log(a)
log10(a)
log(2, a)
log(10, a)
width_bucket(a, 0, 10, 5)
lower(a)
upper(a)
initcap(a)
length(a)
char_length(a)
character_length(a)
concat(a, b)
concat(a)
replace(a, 'x', 'y')
left(a, 1)
right(a, 1)
starts_with(a, 'x')
strpos(a, 'x')
position('x' IN a)
substring(a, 1, 2)
substring(a FROM 1 FOR 2)
substring(a FROM 2)
substring(a FOR 2)
substr(a, 1, 2)
substr(a, 2)
trim(a)
trim(BOTH FROM a)
trim(LEADING FROM a)
trim(TRAILING FROM a)
trim(BOTH 'x' FROM a)
trim(LEADING 'x' FROM a)
split_part(a, 'x', 2)
lpad(a, 3)
lpad(a, 3, '0')
rpad(a, 3, 'ab')
reverse(a)
translate(a, 'xy', 'z')
concat_ws('-', a, b)
btrim(a)
btrim(a, 'x')
ltrim(a)
rtrim(a)
ltrim(a, 'x')
EXTRACT(year FROM a)
EXTRACT(YEAR FROM a)
extract('year' FROM a)
extract(epoch FROM a::date)
date_trunc('month', a)
date_trunc('MONTH', a)
date_bin('15 minutes', a, TIMESTAMP '2001-01-01')
date_bin(INTERVAL '15' MINUTE, a, '2001-01-01')
a + INTERVAL '5 minutes' * floor(b)
a - b < '1 day'::interval
a AT TIME ZONE 'UTC'
isfinite(a)
count(*)
COUNT(*)
count(a)
count(DISTINCT a)
count(ALL a)
sum(a)
sum(a + 1)
sum(DISTINCT a)
avg(a)
min(a)
max(a)
stddev(a)
stddev_samp(a)
stddev_pop(a)
variance(a)
var_samp(a)
var_pop(a)
corr(a, b)
covar_samp(a, b)
covar_pop(a, b)
regr_slope(a, b)
regr_intercept(a, b)
regr_count(a, b)
regr_avgx(a, b) FILTER (WHERE c)
regr_avgy(a, b)
regr_r2(a, b)
regr_sxx(a, b) OVER (ORDER BY c)
regr_sxy(a, b)
regr_syy(a, b)
every(a)
nth_value(a, 2) OVER (ORDER BY b)
sum(a) OVER (ORDER BY b RANGE BETWEEN 10 PRECEDING AND 1.5 FOLLOWING)
sum(a) OVER (ORDER BY b RANGE INTERVAL '7 days' PRECEDING EXCLUDE GROUP)
percentile_cont(ARRAY[0.25, 0.5]) WITHIN GROUP (ORDER BY a)
(percentile_cont(ARRAY[0.25, 0.5]) WITHIN GROUP (ORDER BY a))[2]
a[1]
count(*) FILTER (WHERE a > 1)
sum(a) FILTER (WHERE b)
count(DISTINCT a) FILTER (WHERE b)
percentile_cont(0.5) WITHIN GROUP (ORDER BY a)
percentile_disc(0.5) WITHIN GROUP (ORDER BY a DESC)
to_timestamp(a)
to_timestamp(a + 1) AT TIME ZONE 'UTC'
percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FILTER (WHERE b)
mode() WITHIN GROUP (ORDER BY a)
bool_and(a)
grouping(a)
grouping(a, b)
error_bar(count(*))
count(*) * 100.0 / sum(count(*)) OVER ()
row_number() OVER (ORDER BY a)
rank() OVER (PARTITION BY a ORDER BY b DESC NULLS LAST)
ntile(4) OVER (ORDER BY a)
lag(a) OVER (ORDER BY b)
lag(a, 1, 0) OVER (ORDER BY b)
lead(a, 2) OVER (ORDER BY b)
first_value(a) OVER (ORDER BY b)
sum(a) OVER (ORDER BY b ROWS UNBOUNDED PRECEDING)
sum(a) OVER (ORDER BY b ROWS 2 PRECEDING)
sum(a) OVER (ORDER BY b ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING)
sum(a) OVER (ORDER BY b RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
sum(a) OVER (ORDER BY b GROUPS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
sum(a) OVER (ORDER BY b ROWS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES)
sum(a) FILTER (WHERE b) OVER (PARTITION BY c)
""".strip().splitlines()

STATEMENTS = """
SELECT sum(a) OVER w FROM t WINDOW w AS ()
SELECT sum(a) OVER w, rank() OVER (w ORDER BY b) FROM t WINDOW w AS (PARTITION BY c)
SELECT sum(a) OVER (v ROWS 1 PRECEDING) FROM t WINDOW "W" AS (PARTITION BY c), v AS ("W" ORDER BY b)
SELECT * FROM t
SELECT t.* FROM t
SELECT a b FROM t
SELECT a AS b, a AS "B c", a "D" FROM t
SELECT ALL a FROM t
SELECT DISTINCT a FROM t
SELECT DISTINCT ON (a) a, b FROM t
TABLE t
(SELECT a FROM t)
SELECT a FROM t;
SELECT a -- the first
SELECT a /* the first */ FROM t
SELECT a FROM s.t
SELECT a FROM t x
SELECT a FROM t AS x
SELECT a FROM t AS x (p, q)
SELECT a FROM "T" AS "X"
SELECT a FROM t, u
SELECT a FROM t x, u y, v z
SELECT a FROM t JOIN u ON t.a = u.a
SELECT a FROM t INNER JOIN u ON t.a = u.a AND u.b
SELECT a FROM t JOIN u USING (a)
SELECT a FROM t JOIN u USING (a, b)
SELECT a FROM t LEFT JOIN u ON TRUE
SELECT a FROM t LEFT OUTER JOIN u USING (a)
SELECT a FROM t RIGHT JOIN u ON TRUE
SELECT a FROM t FULL JOIN u ON TRUE
SELECT a FROM t CROSS JOIN u
SELECT a FROM t JOIN u ON TRUE LEFT JOIN v ON FALSE RIGHT JOIN w USING (a)
SELECT a FROM t JOIN u JOIN v ON TRUE ON FALSE
SELECT a FROM t JOIN (u JOIN v ON TRUE) ON FALSE
SELECT a FROM (t JOIN u ON TRUE) JOIN v ON FALSE
SELECT a FROM t, u JOIN v ON TRUE
SELECT a FROM t, u LEFT JOIN v ON TRUE JOIN w ON TRUE
SELECT a FROM t RIGHT JOIN u ON TRUE, v
SELECT a FROM (SELECT b FROM u) x
SELECT a FROM (SELECT b FROM u) AS x (p)
SELECT a FROM ((SELECT b FROM u)) x
SELECT a FROM t NATURAL JOIN u
SELECT a FROM t NATURAL LEFT JOIN u NATURAL INNER JOIN v, w
SELECT d.s.t.a, d.s.t.* FROM d.s.t
SELECT a FROM (SELECT b FROM u UNION ALL SELECT c FROM v) x
SELECT a FROM (SELECT b FROM u UNION SELECT c FROM v EXCEPT SELECT d FROM w) x
SELECT a FROM (SELECT b FROM u INTERSECT SELECT c FROM v UNION ALL SELECT d FROM w) x
SELECT a FROM ((SELECT b FROM u ORDER BY 1 LIMIT 2) UNION ALL SELECT c FROM v ORDER BY 1 LIMIT 3) x
WITH x AS (SELECT a FROM t) SELECT a FROM x
WITH x (p, q) AS (SELECT a, b FROM t), y AS (SELECT p FROM x) SELECT * FROM x, y
WITH x AS MATERIALIZED (SELECT a FROM t) SELECT a FROM x
WITH x AS NOT MATERIALIZED (SELECT a FROM t) SELECT a FROM x
SELECT a FROM (WITH x AS (SELECT a FROM t) SELECT a FROM x) y
SELECT a FROM t WHERE a > 1 AND b
SELECT a FROM t GROUP BY a, b + 1
SELECT a FROM t GROUP BY 1, 2
SELECT a FROM t GROUP BY ()
SELECT a FROM t GROUP BY ROLLUP (a, b)
SELECT a FROM t GROUP BY CUBE (a, (b, c))
SELECT a FROM t GROUP BY GROUPING SETS ((a), (a, b), ())
SELECT a FROM t GROUP BY GROUPING SETS (a, ROLLUP (b, c))
SELECT a FROM t GROUP BY a, ROLLUP (b), CUBE (c)
SELECT a FROM t GROUP BY a HAVING count(*) > 1
SELECT a FROM t ORDER BY a
SELECT a FROM t ORDER BY a ASC, b DESC
SELECT a FROM t ORDER BY a NULLS FIRST, b DESC NULLS LAST, c DESC NULLS FIRST, 4 ASC NULLS LAST
SELECT a FROM t ORDER BY -a, a + b DESC
SELECT a FROM t LIMIT 10
SELECT a FROM t LIMIT 10 OFFSET 5
SELECT a FROM t OFFSET 5 LIMIT 10
SELECT a FROM t OFFSET 5 ROWS
SELECT a FROM t LIMIT ALL
SELECT a FROM t FETCH FIRST 5 ROWS ONLY
SELECT a FROM t FETCH FIRST ROW ONLY
SELECT a FROM cities AS semi JOIN patients ON TRUE
SELECT semi.a FROM cities AS semi
SELECT a FROM t WHERE a = $1 AND b = ''
SELECT current_date - 1, now(), localtimestamp FROM t WHERE a < current_timestamp - interval '1 day'
SELECT a FROM t WHERE a = ANY ('{1,2}'::int[]) AND b <> ALL (ARRAY[1, 2]) OR c = SOME ($1)
SELECT a FROM t WHERE a = ANY (ARRAY[(SELECT b FROM u)])
""".strip().splitlines()

REFUSED = """
SELECT a FROM t semi JOIN ¦u ON TRUE | 42601 | AS semi
SELECT a FROM t anti JOIN ¦u ON TRUE | 42601 | AS anti
SELECT a FROM t asof JOIN ¦u ON TRUE | 42601 | AS asof
SELECT a FROM t FULL¦, u | 42601 | near ","
SELECT ¦date_trunc(b, a) FROM t | 0A000 | constant
SELECT ¦user FROM t | 42883 | user
SELECT ¦current_time FROM t | 42883 | current_time
SELECT ¦current_timestamp(2) FROM t | 42883 | current_timestamp_n
SELECT ¦"COUNT"(*) FROM t | 42883 | COUNT
SELECT ¦"Sum"(a) FROM t | 42883 | Sum
SELECT ¦pg_catalog.count(*) FROM t | 42883 | pg_catalog.count
SELECT ¦nvl(a, b) FROM t | 42883 | nvl
SELECT ¦ifnull(a, b) FROM t | 42883 | ifnull
SELECT ¦if(a, b, c) FROM t | 42883 | if
SELECT ¦count_if(a) FROM t | 42883 | count_if
SELECT 'ü€😀', ¦foo(a) FROM t | 42883 | foo
SELECT ¦string_agg(a, ',') FROM t | ZP002 | string_agg
SELECT ¦min(a, 3) FROM t | 0A000 | MIN
SELECT ¦mod(a, b, c) FROM t | 42601 | two ways
SELECT ¦+ a FROM t | 0A000 | sign
SELECT (a)[b] FROM t | 0A000 | subscript
SELECT (a)[1][2] FROM t | 0A000 | subscript
SELECT ¦to_timestamp(a, 'DD') FROM t | 0A000 | format
SELECT a FROM t GROUP BY ¦+1 | 0A000 | sign
SELECT a FROM t GROUP BY ROLLUP (¦+1) | 0A000 | sign
SELECT a FROM t GROUP BY GROUPING SETS ((a, ¦+1)) | 0A000 | sign
SELECT a FROM t ORDER BY ¦+1 | 0A000 | sign
SELECT a FROM t GROUP BY DISTINCT a | 0A000 | DISTINCT
SELECT a FROM t GROUP BY ALL¦ | 42601 | ends too early
SELECT a FROM t ¦LIMIT 1, 2 | 42601 | syntax error
SELECT a FROM ¦t, u RIGHT JOIN v ON TRUE | 42601 | FROM
SELECT a FROM ¦t, u FULL JOIN v ON TRUE | 42601 | FROM
SELECT a FROM t JOIN u USING (a) ¦AS x | 42601 | cannot read
SELECT a FROM (t JOIN u ON TRUE) AS x | 0A000 | parentheses
SELECT a FROM t, LATERAL (SELECT 1) x | 0A000 | LATERAL
SELECT a FROM ONLY ¦t | 0A000 | ONLY
SELECT a FROM generate_series(1, 2) x | 42883 | FROM
SELECT a FROM t TABLESAMPLE ¦system (10) | 0A000 | TABLESAMPLE
SELECT a FROM (VALUES (1)) x | 0A000 | VALUES
SELECT a FROM t FOR UPDATE | 0A000 | FOR UPDATE
SELECT a INTO x FROM t | 0A000 | intoClause
SELECT a FROM t ORDER BY a FETCH FIRST 2 ROWS WITH TIES | 0A000 | TIES
SELECT a ¦COLLATE "C" FROM t | 0A000 | COLLATE
SELECT (a).b FROM t | 0A000 | ields
SELECT ¦ROW(a, b) FROM t | 0A000 | ROW
SELECT a ¦= ANY (SELECT b FROM u) FROM t | 0A000 | ANY
SELECT a ¦SIMILAR TO 'x' FROM t | 0A000 | SIMILAR
SELECT ¦a IS JSON FROM t | 0A000 | Json
SELECT a::¦string FROM t | 0A000 | string
SELECT a::¦"INT" FROM t | 0A000 | INT
SELECT a::¦pg_catalog.foo FROM t | 0A000 | foo
SELECT ¦a::float(10) FROM t | 42601 | two ways
SELECT date ¦'2020-01-01'::text FROM t | 42601 | two ways
SELECT a FROM t WHERE ¦1 = 1 AND date '2020-01-01'::text = b | 42601 | WHERE
SELECT 'x' ¦'y' FROM t | 42601 | near "'y'"
SELECT a, ¦FROM t | 42601 | near "FROM"
¦FROM t SELECT a | 42601 | near "FROM"
SELECT a FROM t QUALIFY ¦a | 42601 | near "a"
SELECT a FROM t WHERE¦ | 42601 | too early
¦SELCT a FROM t | 42601 | near "SELCT"
SELECT 'ü€😀' FROM ¦WHERE | 42601 | near "WHERE"
¦DELETE FROM t | 0A000 | SELECT
¦LISTEN x | 0A000 | SELECT
¦EXPLAIN SELECT 1 | 0A000 | SELECT
¦SHOW all | 0A000 | SELECT
¦VALUES (1) | 0A000 | SELECT
-- nothing | 42601 | exactly one
""".strip().splitlines()
"""A text with its place marked, the code, and words of the refusal."""

DIFFERENT = """
a - b - c ≠ a - (b - c)
a / b / c ≠ a / (b / c)
a || b + c ≠ (a || b) + c
a OR b AND c ≠ (a OR b) AND c
NOT a AND b ≠ NOT (a AND b)
NOT a = b ≠ (NOT a) = b
- a * b ≠ a * - b
-a::int ≠ (-a)::int
a <> b ≠ b <> a
a < b ≠ a <= b
1 ≠ 1.0
1.5 ≠ 1.50
'1' ≠ 1
a ≠ "A"
a ≠ t.a
a ≠ 'a'
$1 ≠ $2
a IS NULL ≠ a IS NOT NULL
a IS TRUE ≠ a IS NOT FALSE
a IS DISTINCT FROM b ≠ a IS NOT DISTINCT FROM b
a BETWEEN 1 AND 2 ≠ a NOT BETWEEN 1 AND 2
a BETWEEN 1 AND 2 ≠ a BETWEEN SYMMETRIC 1 AND 2
a IN (1, 2) ≠ a NOT IN (1, 2)
a IN (1, 2) ≠ a IN (2, 1)
a LIKE 'x' ≠ a ILIKE 'x'
a LIKE 'x' ≠ a NOT LIKE 'x'
a LIKE 'x' ≠ a LIKE 'x' ESCAPE '!'
CASE WHEN a THEN b END ≠ CASE a WHEN TRUE THEN b END
CASE WHEN a THEN b END ≠ CASE WHEN a THEN b ELSE NULL END
greatest(a, b) ≠ least(a, b)
ltrim(a) ≠ rtrim(a)
lpad(a, 3) ≠ rpad(a, 3)
lpad(a, 3) ≠ lpad(a, 3, '0')
concat('-', a, b) ≠ concat_ws('-', a, b)
split_part(a, 'x', 2) ≠ split_part(a, 'x', 1)
ltrim(a) ≠ trim(a)
trim(a) ≠ trim(BOTH 'x' FROM a)
left(a, 1) ≠ right(a, 1)
substring(a, 2) ≠ substring(a FOR 2)
EXTRACT(year FROM a) ≠ EXTRACT(month FROM a)
date_trunc('year', a) ≠ date_trunc('month', a)
date_bin('1 day', a, '2001-01-01') ≠ date_bin('2 days', a, '2001-01-01')
date_bin('1 day', a, '2001-01-01') ≠ date_bin('1 day', a, '2001-01-02')
a + INTERVAL '1 day' * b ≠ a + INTERVAL '1 day' + b
a::int ≠ a::bigint
a::numeric ≠ a::numeric(10,2)
a::timestamp ≠ a::timestamptz
interval '1 day' ≠ interval '1 month'
count(*) ≠ count(a)
count(a) ≠ count(DISTINCT a)
count(*) ≠ count(*) FILTER (WHERE a)
stddev(a) ≠ stddev_pop(a)
percentile_cont(0.5) WITHIN GROUP (ORDER BY a) ≠ percentile_disc(0.5) WITHIN GROUP (ORDER BY a)
percentile_cont(0.5) WITHIN GROUP (ORDER BY a) ≠ percentile_cont(0.5) WITHIN GROUP (ORDER BY a DESC)
(a)[1] ≠ (a)[2]
sum(a) ≠ sum(a) OVER ()
regr_sxx(a, b) ≠ regr_sxx(b, a)
regr_avgx(a, b) ≠ regr_avgy(a, b)
sum(a) OVER (ORDER BY a RANGE 1 PRECEDING) ≠ sum(a) OVER (ORDER BY a ROWS 1 PRECEDING)
sum(a) OVER (ORDER BY a ROWS 1 PRECEDING) ≠ sum(a) OVER (ORDER BY a ROWS 1 PRECEDING EXCLUDE TIES)
rank() OVER (ORDER BY a) ≠ rank() OVER (PARTITION BY a)
rank() OVER (ORDER BY a) ≠ rank() OVER (ORDER BY a NULLS FIRST)
sum(a) OVER (ORDER BY a) ≠ sum(a) OVER (ORDER BY a ROWS UNBOUNDED PRECEDING)
sum(a) OVER (ORDER BY a ROWS 1 PRECEDING) ≠ sum(a) OVER (ORDER BY a ROWS 2 PRECEDING)
""".strip().splitlines()
