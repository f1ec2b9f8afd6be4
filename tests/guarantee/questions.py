"""Questions that the analyzer answers: one for each form of SQL, by hand.

They run over the extended clinic of ``tests.guarantee.data``. Where a question is here because it
once broke the guarantee, the comment says how.
"""

from __future__ import annotations

TOTALS = (
    "SELECT count(*) FROM patients",
    "SELECT count(*) FROM visits",
    "SELECT count(*), count(age), count(city), count(id) FROM patients",
    "SELECT count(cost), count(DISTINCT patient_id) FROM visits",
    "SELECT count(DISTINCT id) FROM patients",
    "SELECT sum(age), avg(age) FROM patients",
    "SELECT sum(cost), avg(cost), sum(balance), avg(balance), avg(score) FROM visits",
    "SELECT sum(bmi), avg(weight) FROM patients",
    "SELECT sum(score), sum(-score), sum(score * 3), sum(abs(score)) FROM visits",
    "SELECT sum(cost) / count(*), 100 * avg(cost) FROM visits",
    "SELECT sum(words), avg(words), count(*) FROM notes",
    "SELECT sum(quantity), avg(quantity) FROM items",
    "SELECT avg(level), sum(reading), sum(grade) FROM profiles",
    "SELECT count(*) FILTER (WHERE age > 50), sum(age) FILTER (WHERE active) FROM patients",
    (
        "SELECT count(*) FILTER (WHERE cost > 100), avg(cost) FILTER (WHERE kind = 'remote')"
        " FROM visits"
    ),
    "SELECT count(DISTINCT patient_id) FILTER (WHERE diagnosis = 'hiv') FROM visits",
    "SELECT count(*) FROM patients WHERE name = 'person 1' AND age BETWEEN 20 AND 60",
    "SELECT count(*) FROM patients WHERE city IN ('Oslo', 'Bergen') OR city IS NULL",
    "SELECT count(*) FROM patients WHERE city = ANY ('{Oslo,NULL}') OR age <> ALL (ARRAY[27, 40])",
    "SELECT count(*) FROM patients WHERE age = ANY ('{}') OR bmi <> ALL ('{}'::numeric[])",
    (
        "SELECT count(*) FROM patients WHERE (sex, city) IN (('male', 'Oslo'), ('female', NULL))"
        " OR (age, active) NOT IN ((27, true))"
    ),
    "SELECT to_char(visited_at, 'YYYY-MM'), count(*) FROM visits GROUP BY 1",
    (
        "SELECT date_part('year', born), EXTRACT(year FROM age(DATE '2024-02-29', born)), count(*)"
        " FROM patients GROUP BY 1, 2"
    ),
    "SELECT count(*) FROM visits WHERE patient_id = 7",
    "SELECT count(*) FROM visits WHERE false",
    # Once rounded to 28 digits, and so to 1.
    (
        "SELECT count(*) FROM patients WHERE 1.00000000000000000000000000001 > 1"
        " AND -1.00000000000000000000000000001 < -1"
    ),
    "SELECT sum(cost) FROM visits WHERE visited_at > '2020-01-03' AND NOT cost < 50",
    (
        "SELECT sum(CASE WHEN diagnosis = 'flu' THEN 1000 WHEN cost > 10 THEN -1 ELSE 0 END)"
        " FROM visits"
    ),
    "SELECT sum(CASE WHEN name = 'person 1' THEN 1000000 ELSE 0 END) FROM patients",
    "SELECT sum(least(greatest(points, 0), 50)), avg(least(greatest(points, -9), 9)) FROM patients",
    "SELECT sum(least(cost, 100) * 1000) FROM visits",
    # Clamps in other words.
    "SELECT avg(CASE WHEN points > 200 THEN 200 WHEN points < 0 THEN 0 ELSE points END) FROM patients",
    "SELECT sum(CASE WHEN 50 <= cost THEN 50 ELSE cost END), avg(cost) FILTER (WHERE cost < 9) FROM visits",
    "SELECT sum(points), max(points) FROM patients WHERE points >= 0 AND points < 1000",
    "SELECT avg(c) FROM (SELECT cost AS c FROM visits WHERE cost > 10) v WHERE NOT c >= 200",
    "SELECT avg(points) FILTER (WHERE points BETWEEN SYMMETRIC 500 AND -500) FROM patients",
    (
        "SELECT sum(CASE WHEN NOT (weight BETWEEN 40 AND 90.5) THEN NULL ELSE weight END),"
        " sum(CASE WHEN age > 200 THEN age ELSE 3 END) FROM patients WHERE age NOT BETWEEN SYMMETRIC 9 AND 4"
    ),
    "SELECT CASE WHEN age < 20 THEN 20 WHEN age > 25 THEN 25 ELSE age END, count(*) FROM patients GROUP BY 1",
    "SELECT sum(coalesce(age, 40)), sum(nullif(age, 27)) FROM patients",
    "SELECT avg(age * age - 2 * age), sum(age % 7), sum(age / 3), sum(-age) FROM patients",
    (
        "SELECT avg(round(bmi, 1)), sum(floor(bmi)), sum(ceil(weight)), sum(trunc(cost)) FROM"
        " patients JOIN visits ON patients.id = visits.patient_id"
    ),
    "SELECT sum(least(greatest(length(name), 0), 30)), count(upper(name)) FROM patients",
    (
        "SELECT sum(least(greatest(cost / age, 0), 10)) FROM patients p JOIN visits v"
        " ON v.patient_id = p.id"
    ),
    "SELECT sum(CAST(active AS integer)), sum(CAST(weight AS integer)) FROM patients",
    "SELECT count(*) FROM patients WHERE name LIKE 'person _' AND zip NOT LIKE '000%'",
    "SELECT count(*) FROM patients WHERE starts_with(name, 'x') OR left(name, 2) = 'pe'",
    "SELECT count(*) FROM patients WHERE lower(name || zip) = right(name, 3)",
    "SELECT count(*) FROM visits WHERE score IS DISTINCT FROM 0.25 AND balance / score > 2",
    "SELECT count(*) FROM patients WHERE weight > bmi AND points * points > 10",
    "SELECT count(*) FROM patients WHERE CAST(points AS integer) = 0 OR CAST(weight AS bigint) > 9",
)

JOINS = (
    "SELECT count(*) FROM patients p JOIN visits v ON v.patient_id = p.id",
    "SELECT count(*), sum(p.age), avg(v.cost) FROM patients p, visits v WHERE p.id = v.patient_id",
    "SELECT count(*) FROM visits v JOIN visits w USING (patient_id)",
    "SELECT count(*) FROM visits v JOIN visits w ON w.patient_id = v.patient_id AND w.id < v.id",
    "SELECT sum(v.cost) FROM visits v JOIN visits w USING (patient_id) WHERE w.kind = 'remote'",
    "SELECT count(*) FROM patients p LEFT JOIN visits v ON v.patient_id = p.id",
    "SELECT count(*) FROM patients p LEFT JOIN visits v ON v.patient_id = p.id WHERE v.id IS NULL",
    (
        "SELECT count(v.id), count(DISTINCT v.patient_id), count(DISTINCT p.id) FROM patients p"
        " LEFT JOIN visits v ON v.patient_id = p.id AND v.cost > 10"
    ),
    "SELECT sum(v.cost) FROM visits v RIGHT JOIN patients p ON v.patient_id = p.id",
    "SELECT count(*) FROM items i JOIN visits v ON i.visit_id = v.id",
    (
        "SELECT sum(i.quantity), avg(v.cost) FROM items i JOIN visits v ON i.visit_id = v.id"
        " JOIN patients p ON p.id = v.patient_id"
    ),
    "SELECT count(*) FROM notes n JOIN profiles f ON n.profile_id = f.id",
    "SELECT count(*), sum(n.words) FROM notes n LEFT JOIN profiles f ON n.profile_id = f.id",
    "SELECT count(*) FROM patients p JOIN profiles f ON f.patient_id = p.id",
    "SELECT sum(p.age) FROM patients p JOIN patients q ON p.id = q.id",
    "SELECT count(*) FROM patients p JOIN cities c ON c.name = p.city",
    "SELECT count(*) FROM patients p LEFT JOIN cities c ON c.name = p.city",
    "SELECT count(*) FROM patients, cities",
    "SELECT count(*) FROM patients p JOIN cities c ON p.city < c.name",
    "SELECT sum(p.age) FROM patients p JOIN cities c ON c.region = p.city",
    # Two public tables fixed by each other are fixed by nothing: a person had six rows, not one.
    "SELECT count(*) FROM patients p, cities c, cities d WHERE c.name = d.name",
    "SELECT count(*) FROM patients p, cities c, regions r WHERE c.region = r.name",
    (
        "SELECT count(*) FROM patients p, regions r, cities c WHERE c.region = r.name"
        " AND r.name = c.region"
    ),
    (
        "SELECT count(*) FROM patients p JOIN cities c ON c.name = p.city"
        " JOIN regions r ON r.name = c.region"
    ),
    "SELECT sum(p.age) FROM patients p, cities c WHERE c.name = 'Oslo'",
    (
        "SELECT count(*) FROM patients p JOIN cities c ON c.name = p.city"
        " JOIN visits v ON v.patient_id = p.id"
    ),
)

NESTED = (
    "SELECT count(*) FROM (SELECT * FROM patients) p",
    "SELECT avg(a) FROM (SELECT age + 1 AS a FROM patients WHERE active) x WHERE a > 3",
    (
        "SELECT count(*) FROM (SELECT patient_id FROM visits WHERE cost > 5) v"
        " JOIN patients p ON p.id = v.patient_id"
    ),
    "WITH v AS (SELECT patient_id, balance * 2 AS b FROM visits) SELECT sum(b), avg(b) FROM v",
    (
        "WITH a AS (SELECT * FROM visits), b AS (SELECT * FROM a WHERE cost > 1)"
        " SELECT count(*), sum(b.cost) FROM a JOIN b USING (patient_id)"
    ),
    (
        "WITH cities AS (SELECT name, age AS region FROM patients)"
        " SELECT region, count(*) FROM cities GROUP BY 1"
    ),
    (
        "SELECT count(*) FROM (SELECT p.id, c.region FROM patients p JOIN cities c"
        " ON c.name = p.city) x JOIN visits v ON v.patient_id = x.id"
    ),
    "SELECT count(*) FROM (SELECT 1 AS one FROM visits) x",
    "SELECT count(*) FROM patients AS t (i, n, a) WHERE a > 30",
    "SELECT count(*) FROM (SELECT name || name AS n FROM patients) x WHERE n LIKE '%1person%'",
    # Of public rows one group of all, also where there are none.
    "SELECT count(*) FROM patients p, (SELECT count(*) AS n FROM cities) c WHERE p.age > c.n",
    (
        "SELECT c.m > 'A', count(*) FROM patients p"
        " CROSS JOIN (SELECT max(name) AS m, count(*) AS n FROM cities WHERE false) c"
        " WHERE p.age > coalesce(1 / c.n, 0) GROUP BY 1"
    ),
    "SELECT count(*) FROM patients WHERE city IN (SELECT max(name) FROM cities)",
)

PUBLIC_KEYS = (
    "SELECT sex, count(*) FROM patients GROUP BY sex",
    "SELECT sex, count(*), avg(age), sum(bmi) FROM patients GROUP BY 1",
    "SELECT kind, count(*) FROM visits GROUP BY kind",
    # Values that WHERE leaves no row are no groups.
    "SELECT kind, count(*), avg(cost) FROM visits WHERE kind = 'remote' GROUP BY kind",
    "SELECT kind, count(*) FROM visits WHERE kind NOT IN ('remote') OR cost > 50 GROUP BY kind",
    (
        "SELECT sex, active, count(*) FROM patients WHERE NOT (sex = 'male' OR NOT active)"
        " GROUP BY ROLLUP (1, 2)"
    ),
    (
        "SELECT kind, count(DISTINCT patient_id) FROM visits WHERE kind IS NULL OR kind > 'f'"
        " OR kind = 'emergency' AND cost > 20 GROUP BY kind"
    ),
    (
        "SELECT kind, count(*), sum(cost), avg(balance), count(DISTINCT patient_id) FROM visits"
        " GROUP BY kind"
    ),
    "SELECT city, count(*) FROM patients GROUP BY city",
    "SELECT active, avg(weight) FROM patients GROUP BY active",
    "SELECT age > 50 AS old, count(*) FROM patients GROUP BY old",
    "SELECT cost > 50, kind, count(*), sum(cost) FROM visits GROUP BY 1, 2",
    (
        "SELECT CASE WHEN cost < 10 THEN 'low' WHEN cost < 100 THEN 'mid' END AS c, count(*),"
        " avg(cost) FROM visits GROUP BY c"
    ),
    "SELECT CASE WHEN age < 50 THEN 1 ELSE 2.50 END, count(*) FROM patients GROUP BY 1",
    "SELECT coalesce(kind, 'none'), count(*) FROM visits GROUP BY 1",
    "SELECT nullif(sex, 'male'), count(*) FROM patients GROUP BY 1",
    "SELECT greatest(sex, 'm'), count(*) FROM patients GROUP BY 1",
    "SELECT CAST(active AS integer), sum(age) FROM patients GROUP BY 1",
    "SELECT c.region, count(*) FROM patients p JOIN cities c ON c.name = p.city GROUP BY c.region",
    "SELECT c.region, count(*) FROM patients p LEFT JOIN cities c ON c.name = p.city GROUP BY 1",
    "SELECT c.region, p.sex, count(*) FROM patients p, cities c GROUP BY 1, 2",
    (
        "SELECT c.name, sum(v.cost) FROM patients p JOIN cities c ON c.name = p.city"
        " JOIN visits v ON v.patient_id = p.id GROUP BY 1"
    ),
    (
        "SELECT p.sex, v.kind, count(*), avg(v.cost) FROM patients p JOIN visits v"
        " ON v.patient_id = p.id GROUP BY p.sex, v.kind"
    ),
    (
        "SELECT p.sex, v.kind, count(DISTINCT p.id) FROM patients p LEFT JOIN visits v"
        " ON v.patient_id = p.id GROUP BY 1, 2"
    ),
    (
        "SELECT p.city, count(*), sum(v.score) FROM patients p JOIN visits v ON v.patient_id = p.id"
        " GROUP BY p.city"
    ),
    (
        "SELECT v.kind, sum(i.quantity), count(DISTINCT v.patient_id) FROM items i JOIN visits v"
        " ON i.visit_id = v.id GROUP BY 1"
    ),
    (
        "SELECT sex, count(*) AS n FROM patients GROUP BY sex HAVING count(*) > 2 ORDER BY n DESC"
        " LIMIT 2 OFFSET 1"
    ),
    "SELECT kind FROM visits GROUP BY kind ORDER BY avg(cost)",
    "SELECT DISTINCT sex FROM patients",
    "SELECT sex FROM patients GROUP BY sex, active",
    # A boolean of which one value is declared: the other showed whenever a row had it.
    "SELECT smoker, count(*) FROM profiles GROUP BY smoker",
    "SELECT grade, smoker, sum(level) FROM profiles GROUP BY 1, 2",
    "SELECT NOT smoker, count(*) FROM profiles GROUP BY 1",
    # Minus infinity became NULL in arithmetic on columns that are never NULL: an undeclared key.
    "SELECT reading < level AS less, count(*) FROM profiles GROUP BY less",
    "SELECT level * 2 > 5, count(*) FROM profiles GROUP BY 1",
    "SELECT CAST(reading AS integer) > 1, count(*) FROM profiles GROUP BY 1",
    (
        "SELECT level + reading > 0, reading / 2 > 1, -level < 3, abs(reading) > 1, count(*)"
        " FROM profiles GROUP BY 1, 2, 3, 4"
    ),
    (
        "SELECT nullif(reading, level) > 1, greatest(reading, level) > 2, count(*)"
        " FROM profiles GROUP BY 1, 2"
    ),
    (
        "SELECT CASE WHEN reading > 0 THEN level ELSE reading END > 1, round(level, 1) > 2, count(*)"
        " FROM profiles GROUP BY 1, 2"
    ),
    (
        "SELECT coalesce(reading, level) = 1, sign(level) > 0, level % 2 > 1, count(*)"
        " FROM profiles GROUP BY 1, 2, 3"
    ),
    # One value for each person, but only on the rows that the first left join matched.
    (
        "SELECT q.city, count(*) FROM visits x LEFT JOIN visits v ON v.patient_id = x.patient_id"
        " AND v.cost > x.cost LEFT JOIN patients q ON q.id = v.patient_id GROUP BY q.city"
    ),
    (
        "SELECT q.sex, count(*), count(DISTINCT x.patient_id) FROM visits x LEFT JOIN visits v"
        " ON v.patient_id = x.patient_id AND v.cost > x.cost LEFT JOIN patients q"
        " ON q.id = v.patient_id GROUP BY q.sex"
    ),
    (
        "SELECT f.grade, sum(x.cost) FROM visits x LEFT JOIN (SELECT patient_id AS who, cost AS c"
        " FROM visits) v ON v.who = x.patient_id AND v.c > x.cost LEFT JOIN profiles f"
        " ON f.patient_id = v.who GROUP BY f.grade"
    ),
)

OWN_KEYS = (
    "SELECT diagnosis, count(*) FROM visits GROUP BY diagnosis",
    "SELECT diagnosis, count(DISTINCT patient_id), sum(cost), avg(score) FROM visits GROUP BY 1",
    "SELECT zip, count(*) FROM patients GROUP BY zip",
    "SELECT zip, sex, avg(age) FROM patients GROUP BY 1, 2",
    "SELECT DISTINCT zip FROM patients",
    "SELECT DISTINCT diagnosis, kind FROM visits",
    "SELECT CAST(visited_at AS date), count(*) FROM visits GROUP BY 1",
    "SELECT visited_at, sum(balance) FROM visits GROUP BY visited_at",
    "SELECT cost, count(*) FROM visits GROUP BY cost",
    "SELECT score, balance, count(*) FROM visits GROUP BY 1, 2",
    "SELECT age % 2 AS age, count(*) FROM patients GROUP BY age",
    "SELECT born, count(*), avg(bmi) FROM patients GROUP BY born",
    "SELECT points, weight, count(*) FROM patients GROUP BY 1, 2",
    "SELECT length(name), left(name, 3), count(*) FROM patients GROUP BY 1, 2",
    (
        "SELECT diagnosis, p.sex, count(*) FROM patients p JOIN visits v ON v.patient_id = p.id"
        " GROUP BY 1, 2"
    ),
    (
        "SELECT p.zip, count(*), sum(v.cost) FROM patients p JOIN visits v ON v.patient_id = p.id"
        " GROUP BY p.zip"
    ),
    (
        "SELECT p.zip, v.kind, count(*) FROM patients p LEFT JOIN visits v ON v.patient_id = p.id"
        " GROUP BY 1, 2"
    ),
    "SELECT label, sum(quantity) FROM items GROUP BY label",
    (
        "SELECT label, count(*) FROM items i JOIN visits v ON v.id = i.visit_id WHERE v.cost > 1"
        " GROUP BY label HAVING count(*) > 1 ORDER BY 2 DESC, label LIMIT 3"
    ),
    "SELECT seen, reading, level, count(*) FROM profiles GROUP BY 1, 2, 3",
    "SELECT profile_id IS NULL, words, count(*) FROM notes GROUP BY 1, 2",
    # The undeclared value of a boolean again, as a second group beside a key of the person.
    (
        "SELECT f.seen, n.open, count(*) FROM notes n JOIN profiles f ON n.profile_id = f.id"
        " GROUP BY 1, 2"
    ),
    (
        "SELECT c.region, v.diagnosis, count(*) FROM patients p JOIN cities c ON c.name = p.city"
        " JOIN visits v ON v.patient_id = p.id GROUP BY 1, 2"
    ),
    "SELECT c.region || p.sex, count(*) FROM patients p, cities c GROUP BY 1",
    (
        "SELECT q.zip, sum(x.cost) FROM visits x LEFT JOIN visits v ON v.patient_id = x.patient_id"
        " AND v.cost > x.cost LEFT JOIN patients q ON q.id = v.patient_id GROUP BY q.zip"
    ),
)

DATES = (
    (
        "SELECT count(*) FROM patients p JOIN visits v ON v.patient_id = p.id"
        " WHERE v.visited_at > p.born"
    ),
    "SELECT count(*) FROM visits WHERE CAST(visited_at AS date) = '2020-01-02'",
    (
        "SELECT born < seen, seen > '2020-01-01', count(*)"
        " FROM patients p JOIN profiles f ON f.patient_id = p.id GROUP BY 1, 2"
    ),
    (
        "SELECT sum(least(greatest(EXTRACT(epoch FROM w.visited_at - v.visited_at) / 86400, 0), 5))"
        " FROM visits v JOIN visits w ON w.patient_id = v.patient_id"
        " AND w.visited_at - v.visited_at BETWEEN INTERVAL '1 hour' AND INTERVAL '3 days'"
    ),
    (
        "SELECT date_bin('6 hours', visited_at, TIMESTAMP '2001-01-01'), count(*), sum(cost)"
        " FROM visits GROUP BY 1"
    ),
    # NaN is no integer, however few digits its column has.
    "SELECT count(*) FROM patients WHERE born + INTERVAL '1 day' * floor(bmi) > '1990-02-01'",
    "SELECT count(*) FROM visits WHERE visited_at + INTERVAL '1 hour' * sign(cost) > '2020-01-03'",
    (
        "SELECT date_trunc('hour', visited_at) + INTERVAL '15 minutes' * FLOOR(EXTRACT(MINUTE FROM"
        " visited_at) / 15) AS at, EXTRACT(day FROM visited_at - '2020-01-01'::timestamp), count(*)"
        " FROM visits GROUP BY 1, 2"
    ),
    (
        "SELECT gap > INTERVAL '1 day', count(*) FROM (SELECT patient_id, max(visited_at) -"
        " min(visited_at) AS gap FROM visits GROUP BY patient_id) t GROUP BY 1"
    ),
)

SEVERAL_PARTS = (
    "SELECT count(DISTINCT diagnosis) FROM visits",
    "SELECT count(DISTINCT diagnosis), count(DISTINCT kind), count(*) FROM visits",
    "SELECT count(DISTINCT balance), count(DISTINCT score) FROM visits",
    "SELECT count(DISTINCT city) FROM patients",
    "SELECT kind, count(DISTINCT diagnosis), sum(cost) FROM visits GROUP BY kind",
    "SELECT diagnosis, count(DISTINCT kind), count(*) FROM visits GROUP BY diagnosis",
    "SELECT zip, count(DISTINCT name), avg(age) FROM patients GROUP BY zip",
    (
        "SELECT count(DISTINCT v.diagnosis) FILTER (WHERE p.age > 30) FROM patients p"
        " LEFT JOIN visits v ON v.patient_id = p.id"
    ),
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY age) FROM patients",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY cost), min(cost), max(cost) FROM visits",
    (
        "SELECT kind, percentile_disc(0.9) WITHIN GROUP (ORDER BY balance), count(*) FROM visits"
        " GROUP BY kind"
    ),
    (
        "SELECT kind, percentile_cont(ARRAY[0.1, 0.9]) WITHIN GROUP (ORDER BY cost)"
        " FILTER (WHERE cost > 1) FROM visits GROUP BY kind"
    ),
    # Dates and timestamps, counted in days and in seconds.
    (
        "SELECT sex, min(d), max(d), percentile_disc(0.5) WITHIN GROUP (ORDER BY d) FROM (SELECT sex,"
        " least(greatest(born, DATE '1930-01-01'), DATE '2020-12-31') AS d FROM patients) x GROUP BY 1"
    ),
    (
        "SELECT kind, max(least(greatest(visited_at, '2019-01-01'), '2024-12-31'))"
        " FILTER (WHERE cost > 10) FROM visits GROUP BY kind"
    ),
    "SELECT max(to_timestamp(age * 86400)), count(*) FROM patients",
    (
        "SELECT min(first) FROM (SELECT patient_id, min(least(greatest(visited_at::date,"
        " DATE '2020-01-01'), DATE '2020-06-30')) AS first FROM visits GROUP BY patient_id) x"
    ),
    "SELECT least(greatest(born, DATE '1980-01-01'), DATE '1980-01-09'), count(*) FROM patients GROUP BY 1",
    "SELECT diagnosis, max(score), count(DISTINCT kind) FROM visits GROUP BY diagnosis",
    "SELECT sex, min(bmi), max(weight) FROM patients GROUP BY sex",
    "SELECT zip, percentile_cont(0.25) WITHIN GROUP (ORDER BY age DESC) FROM patients GROUP BY zip",
    (
        "SELECT p.zip, max(v.cost) FILTER (WHERE v.kind = 'remote') FROM patients p JOIN visits v"
        " ON v.patient_id = p.id GROUP BY p.zip"
    ),
    "SELECT min(quantity), max(v.cost) FROM items i JOIN visits v ON v.id = i.visit_id",
)

MOMENTS = (
    "SELECT stddev(age), variance(bmi), var_pop(weight) FROM patients",
    "SELECT stddev_pop(cost), stddev_samp(balance), var_samp(score) FROM visits",
    "SELECT kind, variance(cost), avg(cost), sum(cost) FROM visits GROUP BY kind",
    "SELECT diagnosis, stddev(score) FROM visits GROUP BY diagnosis",
    "SELECT corr(age, bmi), covar_pop(weight, age), regr_slope(bmi, age) FROM patients",
    "SELECT regr_count(age, bmi), regr_avgx(age, bmi), regr_avgy(age, bmi), regr_syy(age, bmi) FROM patients",
    "SELECT sex, regr_syy(weight, age), regr_sxy(weight, age), regr_r2(weight, age) FROM patients GROUP BY sex",
    "SELECT regr_sxx(cost, balance), regr_sxy(cost, balance), regr_count(cost, score) FROM visits",
    "SELECT diagnosis, regr_r2(cost, score), regr_avgx(cost, score) FROM visits GROUP BY diagnosis",
    "SELECT kind, regr_syy(cost, score) FILTER (WHERE balance > 0) FROM visits GROUP BY kind",
    "SELECT covar_samp(cost, balance), regr_intercept(score, cost) FROM visits",
    "SELECT kind, corr(cost, score) FILTER (WHERE balance > 0) FROM visits GROUP BY kind",
    "SELECT diagnosis, corr(cost, score), count(DISTINCT kind) FROM visits GROUP BY diagnosis",
)

SETS = (
    (
        "SELECT sex, active, count(*), avg(age) FROM patients GROUP BY GROUPING SETS"
        " ((sex), (active), ())"
    ),
    "SELECT sex, active, count(*) FROM patients GROUP BY CUBE (sex, active)",
    (
        "SELECT kind, cost > 50, count(*), sum(cost), count(DISTINCT patient_id) FROM visits"
        " GROUP BY ROLLUP (1, 2)"
    ),
    "SELECT kind, grouping(kind), variance(cost), max(cost) FROM visits GROUP BY ROLLUP (kind)",
    "SELECT zip, sex, count(*), sum(bmi) FROM patients GROUP BY CUBE (zip, sex)",
    # Where a person's groups are picked, all of them can be of one set: its part of the L2 norm
    # is then not the share of a set.
    "SELECT diagnosis, count(*) FROM visits GROUP BY ROLLUP (diagnosis)",
    "SELECT diagnosis, count(*), avg(cost) FROM visits GROUP BY GROUPING SETS ((diagnosis), ())",
    (
        "SELECT diagnosis, kind, avg(cost), stddev(score) FROM visits"
        " GROUP BY GROUPING SETS ((diagnosis, kind), (kind), ())"
    ),
    (
        "SELECT diagnosis, kind, count(DISTINCT score), max(cost) FROM visits"
        " GROUP BY CUBE (diagnosis, kind)"
    ),
    "SELECT kind, diagnosis, count(DISTINCT patient_id) FROM visits GROUP BY CUBE (1, 2)",
    (
        "SELECT p.city, c.region, count(*) FROM patients p LEFT JOIN cities c ON c.name = p.city"
        " GROUP BY ROLLUP (c.region, p.city)"
    ),
)

COMPUTED_KEYS = (
    # Zero was listed for what no row can be, and the list was divided by it.
    "SELECT age % CAST(log(-1) AS integer), sex, count(*) FROM patients GROUP BY 1, 2",
    "SELECT age / 10, count(*) FROM patients GROUP BY 1",
    # Many groups under a condition: rows are kept, and looked at twice.
    (
        "SELECT kind, extract(day FROM visited_at), count(*), sum(cost) FROM visits"
        " WHERE cost > 3 GROUP BY 1, 2"
    ),
    (
        "SELECT kind, percentile_cont(0.5) WITHIN GROUP (ORDER BY cost), avg(score) FROM visits"
        " WHERE cost > 3 GROUP BY 1"
    ),
    "SELECT age % 2 = 0, count(*), avg(bmi) FROM patients GROUP BY 1",
    "SELECT floor(age / 10.0), sum(age) FROM patients GROUP BY 1",
    "SELECT round(bmi), count(*) FROM patients GROUP BY 1",
    "SELECT round(weight), count(*) FROM patients GROUP BY 1",
    "SELECT width_bucket(cost, 0, 10000, 10), count(*), sum(cost) FROM visits GROUP BY 1",
    "SELECT quantity * 2, count(*), count(DISTINCT label) FROM items GROUP BY 1",
    "SELECT upper(sex), count(*) FROM patients GROUP BY 1",
    "SELECT left(kind, 1), count(*), avg(cost) FROM visits GROUP BY 1",
    (
        "SELECT sex || '/' || kind, count(*) FROM patients p JOIN visits v ON v.patient_id = p.id"
        " GROUP BY 1"
    ),
    "SELECT lower(city) || 'x', count(*) FROM patients GROUP BY 1",
    "SELECT CAST(grade AS text), grade * grade, count(*) FROM profiles GROUP BY 1, 2",
    "SELECT coalesce(grade, 0) + 1, level > grade, count(*) FROM profiles GROUP BY 1, 2",
    "SELECT length(kind), replace(kind, 'e', ''), count(*) FROM visits GROUP BY 1, 2",
    "SELECT least(greatest(points, 0), 5), count(*) FROM patients GROUP BY 1",
    "SELECT CAST(least(greatest(reading, -2), 2) AS integer), sum(level) FROM profiles GROUP BY 1",
    "SELECT extract(month FROM visited_at), count(*), sum(balance) FROM visits GROUP BY 1",
    "SELECT extract(dow FROM born), count(*) FROM patients GROUP BY 1",
    "SELECT date_trunc('month', visited_at), count(*) FROM visits GROUP BY 1",
    "SELECT extract(year FROM seen), count(*) FROM profiles GROUP BY 1",
    "SELECT g, count(*) FROM (SELECT id, age / 20 AS g FROM patients) x GROUP BY g",
    "SELECT visited_at + interval '1 day' > '2020-01-03', count(*) FROM visits GROUP BY 1",
    (
        "SELECT sqrt(cost) > 5, ln(cost) > 2, exp(score) > 1, power(score, 2) > 0.5, count(*)"
        " FROM visits GROUP BY 1, 2, 3, 4"
    ),
    (
        "SELECT age / 10, kind, count(*) FROM patients p LEFT JOIN visits v ON v.patient_id = p.id"
        " GROUP BY ROLLUP (1, 2)"
    ),
    "SELECT strpos(name, 'son') > 0, substr(zip, 1, 2), count(*) FROM patients GROUP BY 1, 2",
    # 1 / 3.0 * 3 is less than 1: a divisor that only exact arithmetic keeps from zero.
    (
        "SELECT sex, count(*) FROM patients WHERE 1 / (CASE WHEN active THEN 1 ELSE 2 END"
        " / 3.0 * 3 - 0.99999999999999999999) > 0 GROUP BY sex"
    ),
)

SEVERAL_BLOCKS = (
    "SELECT count(*)::numeric / (SELECT count(*) FROM patients) FROM patients WHERE active",
    "SELECT (SELECT count(*) FROM patients) AS a, (SELECT sum(cost) FROM visits) AS b",
    (
        "WITH a AS (SELECT sex, count(*) AS n FROM patients GROUP BY sex),"
        " b AS (SELECT sex, avg(age) AS m, count(*) AS k FROM patients WHERE active GROUP BY sex)"
        " SELECT a.sex, n, m, k::numeric / n AS share FROM a JOIN b USING (sex)"
    ),
    (
        "SELECT sex, count(*) AS n FROM patients GROUP BY sex"
        " UNION ALL SELECT 'all', count(*) FROM patients"
    ),
    "SELECT kind, count(*) FROM visits GROUP BY 1 UNION SELECT sex, sum(age) FROM patients GROUP BY 1",
    (
        "SELECT diagnosis, count(*), count(*) * 1.0 / (SELECT count(*) FROM visits) AS share"
        " FROM visits GROUP BY diagnosis"
    ),
    (
        "SELECT a.zip, a.n, b.n FROM (SELECT zip, count(*) AS n FROM patients GROUP BY zip) a"
        " LEFT JOIN (SELECT diagnosis, count(DISTINCT kind) AS n FROM visits GROUP BY 1) b"
        " ON a.n = b.n"
    ),
    (
        "SELECT kind, percentile_cont(0.5) WITHIN GROUP (ORDER BY cost)"
        " - (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY cost) FROM visits) AS above"
        " FROM visits GROUP BY kind"
    ),
)

COMBINED = (
    "SELECT count(*) FROM (SELECT id FROM patients UNION SELECT patient_id FROM visits) t",
    (
        "SELECT what, count(*), count(DISTINCT patient_id) FROM (SELECT patient_id, kind AS what"
        " FROM visits UNION SELECT id, sex FROM patients UNION ALL SELECT patient_id, 'seen' FROM"
        " profiles) t GROUP BY what"
    ),
    (
        "SELECT kind, count(*) FROM (SELECT patient_id, kind, cost > 50 AS dear FROM visits"
        " INTERSECT SELECT patient_id, kind, balance > 0 FROM visits) t GROUP BY kind"
    ),
    (
        "SELECT sex, count(*), avg(age) FROM (SELECT id, sex, age FROM patients EXCEPT SELECT p.id,"
        " p.sex, p.age FROM patients p JOIN visits v ON v.patient_id = p.id WHERE v.kind = 'planned')"
        " t GROUP BY sex"
    ),
    (
        "SELECT count(*) FROM patients WHERE id IN (SELECT patient_id FROM visits INTERSECT SELECT"
        " patient_id FROM profiles EXCEPT SELECT patient_id FROM visits WHERE cost > 100)"
    ),
    (
        "SELECT c.region, count(*) FROM patients p JOIN (SELECT name, region FROM cities EXCEPT"
        " SELECT name, region FROM cities WHERE region = 'west') c ON c.name = p.city GROUP BY 1"
    ),
    (
        "SELECT smoker, count(*), sum(cost) FROM (SELECT patient_id, kind, cost FROM visits) v"
        " NATURAL JOIN (SELECT patient_id, smoker FROM profiles) f GROUP BY smoker"
    ),
    (
        "SELECT smoker, count(*) FROM patients p NATURAL LEFT JOIN (SELECT patient_id AS id, smoker"
        " FROM profiles) f NATURAL JOIN (SELECT patient_id AS id FROM visits) v GROUP BY smoker"
    ),
)

FULL_JOINS = (
    (
        "WITH early AS (SELECT DISTINCT patient_id FROM visits WHERE cost < 50), late AS (SELECT"
        " DISTINCT patient_id FROM visits WHERE cost >= 50) SELECT CASE WHEN late.patient_id IS NULL"
        " THEN 'early' WHEN early.patient_id IS NULL THEN 'late' ELSE 'both' END AS what, count(*)"
        " FROM early FULL JOIN late ON late.patient_id = early.patient_id GROUP BY 1"
    ),
    (
        "SELECT smoker, kind, count(*), count(DISTINCT patient_id), sum(cost) FROM profiles FULL JOIN"
        " visits USING (patient_id) GROUP BY smoker, kind"
    ),
    # One row on each side, and two of a person where they do not meet.
    (
        "SELECT count(*), avg(p.age) FROM patients p FULL JOIN profiles f ON f.patient_id = p.id"
        " AND f.smoker = p.active"
    ),
    (
        "SELECT n, count(*) FROM (SELECT patient_id, count(*) AS n FROM (SELECT patient_id, cost FROM"
        " visits) v NATURAL FULL JOIN (SELECT patient_id, grade FROM profiles) f GROUP BY 1) t"
        " GROUP BY n"
    ),
    (
        "SELECT r.country, count(*) FROM patients p JOIN (SELECT c.name, r.country FROM cities c FULL"
        " JOIN regions r ON r.name = c.region) r ON r.name = p.city GROUP BY 1"
    ),
)

LOOKED_UP = (
    (
        "SELECT EXISTS (SELECT 1 FROM visits v WHERE v.patient_id = p.id AND v.cost > (SELECT"
        " avg(w.cost) FROM visits w WHERE w.patient_id = v.patient_id)), count(*) FROM patients p"
        " GROUP BY 1"
    ),
    "SELECT avg((SELECT max(cost) FROM visits v WHERE v.patient_id = p.id)) FROM patients p",
    (
        "SELECT sex, sum((SELECT count(*) FROM visits v WHERE v.patient_id = p.id AND v.cost > 20))"
        " FROM patients p GROUP BY sex"
    ),
    (
        "SELECT CASE WHEN (SELECT count(*) FROM visits v WHERE v.patient_id = p.id) > 2 THEN 'many'"
        " ELSE 'few' END AS how, count(*), avg(age) FROM patients p GROUP BY 1"
    ),
    (
        "SELECT kind, count(*) FROM visits v WHERE v.visited_at = (SELECT min(w.visited_at) FROM"
        " visits w WHERE w.patient_id = v.patient_id) GROUP BY kind"
    ),
    (
        "SELECT count(*), sum(cost) FROM visits v WHERE v.cost >= (SELECT avg(w.cost) FROM visits w"
        " WHERE w.patient_id = v.patient_id AND w.kind = v.kind)"
    ),
    (
        "SELECT sum((SELECT sum(i.quantity) FROM items i WHERE i.visit_id = v.id)), count(*) FROM"
        " visits v"
    ),
    (
        "SELECT (SELECT c.region FROM cities c WHERE c.name = p.city) AS region, count(*) FROM"
        " patients p GROUP BY 1"
    ),
    (
        "SELECT (SELECT p.sex FROM patients p WHERE p.id = v.patient_id) AS sex, count(*),"
        " count(DISTINCT patient_id) FROM visits v GROUP BY 1"
    ),
    (
        "SELECT avg(n), count(*) FROM (SELECT p.id, coalesce((SELECT sum(v.cost) FILTER (WHERE"
        " v.kind = 'remote') FROM visits v WHERE v.patient_id = p.id), 0) AS n FROM patients p) t"
    ),
    # One row of a person meets a group of each kind: claimed to be one, it would count too much.
    (
        "SELECT count(*) FROM patients p LEFT JOIN (SELECT patient_id, kind, count(*) AS n FROM"
        " visits GROUP BY 1, 2) v ON v.patient_id = p.id"
    ),
    (
        "SELECT count(*), avg(n) FROM patients p JOIN (SELECT patient_id, active, count(*) AS n FROM"
        " (SELECT patient_id, cost > 50 AS active FROM visits) w GROUP BY 1, 2) v"
        " ON v.patient_id = p.id AND v.active = p.active"
    ),
)

TIED = (
    "SELECT kind, sum(cost) FROM (SELECT patient_id, kind, cost, row_number() OVER (PARTITION BY"
    " patient_id ORDER BY cost > 50) AS n FROM visits) t WHERE n <= 2 GROUP BY kind"
)
"""Which rows come first is for us to say: PostgreSQL says it by how they are stored."""
OVER_OWN_ROWS = (
    (
        "SELECT m, count(*) FROM (SELECT patient_id, max(upper(kind)) OVER (PARTITION BY patient_id)"
        " AS m FROM visits) t GROUP BY m"
    ),
    # A key that is worked out of a window's public values.
    (
        "SELECT upper(k), count(*) FROM (SELECT patient_id, lower(lag(kind) OVER (PARTITION BY"
        " patient_id ORDER BY visited_at, id)) AS k FROM visits) t GROUP BY 1"
    ),
    (
        "SELECT kind, count(*), sum(cost) FROM (SELECT patient_id, kind, cost, row_number() OVER"
        " (PARTITION BY patient_id ORDER BY visited_at, id) AS n FROM visits) t WHERE n = 1"
        " GROUP BY kind"
    ),
    # The first of each kind: as many rows of a person as there are kinds.
    (
        "SELECT count(*), sum(cost) FROM (SELECT patient_id, cost, row_number() OVER (PARTITION BY"
        " patient_id, kind ORDER BY visited_at, id) AS n FROM visits) t WHERE n = 1"
    ),
    (
        "SELECT n, count(*) FROM (SELECT p.id, v.kind, rank() OVER (PARTITION BY p.id, p.sex ORDER BY"
        " v.cost DESC NULLS LAST) AS n FROM patients p JOIN visits v ON v.patient_id = p.id) t"
        " GROUP BY n"
    ),
    (
        "SELECT count(*), sum(least(greatest(cost - before, -100), 100)) FROM (SELECT patient_id,"
        " cost, lag(cost) OVER (PARTITION BY patient_id ORDER BY visited_at, id) AS before FROM"
        " visits) t WHERE cost IS NOT NULL AND before IS NOT NULL"
    ),
    (
        "SELECT following, count(*) FROM (SELECT patient_id, kind, lead(kind) OVER (PARTITION BY"
        " patient_id ORDER BY visited_at, id) AS following FROM visits) t WHERE kind = 'planned'"
        " GROUP BY 1"
    ),
    (
        "SELECT kind, avg(least(greatest(share, 0), 1)) FILTER (WHERE share IS NOT NULL) FROM (SELECT"
        " patient_id, kind, greatest(cost, 0) / NULLIF(sum(greatest(cost, 0)) OVER (PARTITION BY"
        " patient_id), 0) AS share, count(*) OVER (PARTITION BY patient_id, kind) AS n FROM visits) t"
        " WHERE n < 5 GROUP BY kind"
    ),
    (
        "SELECT so_far > 100, count(*) FROM (SELECT patient_id, sum(cost) OVER (PARTITION BY"
        " patient_id ORDER BY visited_at) AS so_far, max(diagnosis) OVER (PARTITION BY patient_id)"
        " AS d, dense_rank() OVER (PARTITION BY patient_id ORDER BY diagnosis) AS r FROM visits) t"
        " WHERE d > 'b' AND r < 4 GROUP BY 1"
    ),
    (
        "SELECT kind, count(*), sum(cost) FROM (SELECT DISTINCT ON (patient_id) kind, cost FROM"
        " visits ORDER BY patient_id, visited_at DESC, id) t GROUP BY kind"
    ),
    (
        "SELECT count(*), sum(c) FROM (SELECT DISTINCT ON (v.kind, p.id) p.id, v.kind, v.cost AS c"
        " FROM patients p JOIN visits v ON v.patient_id = p.id ORDER BY 2, id, c, v.id) t"
    ),
    (
        "SELECT k, count(*) FROM (SELECT DISTINCT patient_id, first_value(kind) OVER (PARTITION BY"
        " patient_id ORDER BY visited_at, id) AS k FROM visits) t GROUP BY k"
    ),
)

PUBLIC_ROWS = (
    "SELECT * FROM cities",
    "SELECT region, count(*), min(name) FROM cities WHERE name <> 'Oslo' GROUP BY region",
    "SELECT DISTINCT region FROM cities ORDER BY region",
    "SELECT a.name, b.name FROM cities a JOIN cities b USING (region) WHERE a.name < b.name",
    (
        "SELECT n.city, n.people, c.region FROM (SELECT city, count(*) AS people FROM patients"
        " GROUP BY city) n JOIN cities c ON c.name = n.city"
    ),
    "SELECT region, 0 AS n FROM cities UNION ALL SELECT sex, count(*) FROM patients GROUP BY sex",
)

ALL = (
    *TOTALS,
    *JOINS,
    *NESTED,
    *PUBLIC_KEYS,
    *OWN_KEYS,
    *DATES,
    *SEVERAL_PARTS,
    *MOMENTS,
    *SETS,
    *COMPUTED_KEYS,
    *SEVERAL_BLOCKS,
    *COMBINED,
    *FULL_JOINS,
    *LOOKED_UP,
    *OVER_OWN_ROWS,
    *PUBLIC_ROWS,
)
