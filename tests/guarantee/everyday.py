"""Sixty queries as analysts of a hospital, a bank or a statistics office write them, over the clinic; and sixty more.

The first sixty were written down before anybody looked which of them are answered; only what SQL leaves open, the
order among equals, was settled afterwards. For those that are not,
``REFUSED`` says why.
"""

from __future__ import annotations

QUERIES: tuple[str, ...] = (
    # Buckets and keys.
    (
        "SELECT CASE WHEN age < 18 THEN '0-17' WHEN age < 65 THEN '18-64' ELSE '65+' END AS age_group, COUNT(*) AS patients"
        " FROM patients GROUP BY 1 ORDER BY 1"
    ),
    "SELECT COALESCE(city, 'unknown') AS city, COUNT(*) FROM patients GROUP BY COALESCE(city, 'unknown') ORDER BY 2 DESC, 1",
    "SELECT FLOOR(age / 10) * 10 AS decade, COUNT(*) FROM patients WHERE age IS NOT NULL GROUP BY 1 ORDER BY 1",
    "SELECT width_bucket(bmi, 15, 45, 6) AS bucket, COUNT(*) FROM patients WHERE bmi IS NOT NULL GROUP BY bucket ORDER BY bucket",
    "SELECT UPPER(LEFT(sex, 1)) AS s, COUNT(*) FROM patients GROUP BY UPPER(LEFT(sex, 1))",
    "SELECT age >= 65 AS senior, sex, COUNT(*) FROM patients GROUP BY age >= 65, sex",
    "SELECT CASE sex WHEN 'female' THEN 'F' WHEN 'male' THEN 'M' ELSE '-' END AS g, AVG(age) FROM patients GROUP BY g",
    "SELECT NULLIF(kind, 'remote') AS kind, COUNT(*) FROM visits GROUP BY 1",
    "SELECT sex || ' / ' || CASE WHEN active THEN 'active' ELSE 'left' END AS label, COUNT(*) FROM patients GROUP BY 1",
    (
        "SELECT CASE WHEN cost = 0 THEN 'free' WHEN cost BETWEEN 0.01 AND 99.99 THEN 'low' ELSE 'high' END AS band, COUNT(*), SUM(cost)"
        " FROM visits GROUP BY 1 HAVING COUNT(*) > 0 ORDER BY COUNT(*) DESC"
    ),
    # Conditional aggregates.
    "SELECT COUNT(*) FILTER (WHERE active) AS active, COUNT(*) FILTER (WHERE NOT active) AS left_us FROM patients",
    "SELECT sex, SUM(CASE WHEN active THEN 1 ELSE 0 END) AS active, COUNT(*) AS n FROM patients GROUP BY sex",
    "SELECT kind, ROUND(AVG(cost), 1) AS mean_cost FROM visits GROUP BY kind ORDER BY mean_cost DESC",
    "SELECT ROUND(100.0 * SUM(CASE WHEN diagnosis = 'flu' THEN 1 ELSE 0 END) / COUNT(*), 2) AS flu_percent FROM visits",
    "SELECT sex, AVG(bmi)::numeric(5,1) AS bmi FROM patients WHERE bmi IS NOT NULL GROUP BY sex",
    "SELECT kind, COUNT(DISTINCT patient_id) AS people, COUNT(*) AS visits FROM visits GROUP BY kind",
    "SELECT COUNT(*) * 1.0 / NULLIF(COUNT(DISTINCT patient_id), 0) AS visits_per_patient FROM visits",
    "SELECT kind, MIN(cost), MAX(cost), AVG(cost) FROM visits GROUP BY kind",
    (
        "SELECT sex, percentile_cont(0.25) WITHIN GROUP (ORDER BY age) AS q1, percentile_cont(0.5) WITHIN GROUP (ORDER BY age) AS median,"
        " percentile_cont(0.75) WITHIN GROUP (ORDER BY age) AS q3 FROM patients GROUP BY sex"
    ),
    "SELECT percentile_cont(ARRAY[0.25, 0.5, 0.75]) WITHIN GROUP (ORDER BY cost) FROM visits",
    "SELECT sex, bool_or(active) AS any_active FROM patients GROUP BY sex",
    "SELECT AVG(CASE WHEN kind = 'emergency' THEN cost END) AS emergency_mean FROM visits",
    # Shares, ranks, running totals.
    "SELECT sex, COUNT(*) AS n, ROUND(COUNT(*) * 100.0 / SUM(COUNT(*)) OVER (), 1) AS pct FROM patients GROUP BY sex",
    "SELECT city, COUNT(*) AS n, RANK() OVER (ORDER BY COUNT(*) DESC) AS rnk FROM patients GROUP BY city ORDER BY rnk, city LIMIT 10",
    "SELECT diagnosis, COUNT(*) AS n FROM visits GROUP BY diagnosis ORDER BY n DESC, diagnosis LIMIT 10",
    (
        "SELECT kind, sex, COUNT(*) AS n, ROUND(100.0 * COUNT(*) / SUM(COUNT(*)) OVER (PARTITION BY kind), 1) AS pct"
        " FROM visits v JOIN patients p ON p.id = v.patient_id GROUP BY kind, sex ORDER BY kind, sex"
    ),
    (
        "SELECT * FROM (SELECT kind, diagnosis, COUNT(*) AS n, ROW_NUMBER() OVER (PARTITION BY kind ORDER BY COUNT(*) DESC, diagnosis) AS place"
        " FROM visits GROUP BY kind, diagnosis) t WHERE place <= 3 ORDER BY kind, place"
    ),
    (
        "WITH per AS (SELECT age / 10 AS d, COUNT(*) AS n FROM patients GROUP BY 1)"
        " SELECT d, n, SUM(n) OVER (ORDER BY d) AS running FROM per ORDER BY d"
    ),
    # Time.
    "SELECT date_trunc('month', visited_at) AS month, COUNT(*) FROM visits GROUP BY 1 ORDER BY 1",
    "SELECT EXTRACT(YEAR FROM visited_at) AS y, EXTRACT(MONTH FROM visited_at) AS m, COUNT(*) FROM visits GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT to_char(visited_at, 'YYYY-MM') AS month, COUNT(*) AS n FROM visits GROUP BY 1 ORDER BY 1",
    "SELECT date_part('year', visited_at) AS y, COUNT(*) FROM visits GROUP BY date_part('year', visited_at) ORDER BY 1",
    "SELECT visited_at::date AS day, COUNT(*) FROM visits WHERE visited_at >= '2020-01-01' AND visited_at < '2021-01-01' GROUP BY 1",
    "SELECT COUNT(*) FROM visits WHERE visited_at >= now() - INTERVAL '90 days'",
    "SELECT COUNT(*) FROM visits WHERE visited_at BETWEEN '2020-01-01' AND '2020-12-31'",
    "SELECT to_char(visited_at, 'YYYY-\"Q\"Q') AS quarter, SUM(cost) FROM visits GROUP BY 1 ORDER BY 1",
    "SELECT EXTRACT(YEAR FROM AGE(CURRENT_DATE, born)) AS years, COUNT(*) FROM patients GROUP BY 1",
    "SELECT AVG(EXTRACT(YEAR FROM CURRENT_DATE) - EXTRACT(YEAR FROM born)) FROM patients WHERE born BETWEEN '1900-01-01' AND CURRENT_DATE",
    "SELECT EXTRACT(DOW FROM visited_at) AS weekday, COUNT(*) FROM visits GROUP BY 1 ORDER BY 1",
    (
        "WITH m AS (SELECT date_trunc('month', visited_at) AS month, COUNT(*) AS n FROM visits GROUP BY 1)"
        " SELECT month, n, n - LAG(n) OVER (ORDER BY month) AS change FROM m ORDER BY month"
    ),
    (
        "SELECT 'first half' AS period, COUNT(*) AS n FROM visits WHERE visited_at < '2020-07-01'"
        " UNION ALL SELECT 'second half', COUNT(*) FROM visits WHERE visited_at >= '2020-07-01'"
    ),
    # Joins, lookups, existence.
    "SELECT c.region, COUNT(*) AS patients, AVG(p.age) AS mean_age FROM patients p JOIN cities c ON c.name = p.city GROUP BY c.region ORDER BY c.region",
    "SELECT p.sex, v.kind, SUM(v.cost) AS total FROM patients p INNER JOIN visits v ON v.patient_id = p.id GROUP BY p.sex, v.kind",
    "SELECT p.sex, COUNT(DISTINCT p.id) FROM patients p LEFT JOIN visits v ON v.patient_id = p.id WHERE v.id IS NULL GROUP BY p.sex",
    "SELECT COUNT(*) FROM patients p WHERE EXISTS (SELECT 1 FROM visits v WHERE v.patient_id = p.id AND v.diagnosis ILIKE '%flu%')",
    "SELECT sex, COUNT(*) FROM patients WHERE id NOT IN (SELECT patient_id FROM visits WHERE kind = 'emergency') GROUP BY sex",
    "SELECT COUNT(*) FROM patients WHERE city IN ('Oslo', 'Bergen') AND (name ILIKE 'a%' OR name LIKE '%son%')",
    "SELECT c.region, v.kind, COUNT(*) FROM visits v JOIN patients p ON p.id = v.patient_id LEFT JOIN cities c ON c.name = p.city GROUP BY 1, 2",
    # Per person.
    (
        "SELECT n_visits, COUNT(*) AS patients FROM (SELECT patient_id, COUNT(*) AS n_visits FROM visits GROUP BY patient_id) t"
        " WHERE n_visits <= 10 GROUP BY n_visits ORDER BY n_visits"
    ),
    (
        "WITH t AS (SELECT patient_id, SUM(cost) AS total FROM visits GROUP BY patient_id)"
        " SELECT AVG(total), percentile_cont(0.9) WITHIN GROUP (ORDER BY total) FROM t"
    ),
    "SELECT COUNT(*) FROM (SELECT patient_id FROM visits GROUP BY patient_id HAVING COUNT(*) >= 3) frequent",
    (
        "WITH flags AS (SELECT patient_id, bool_or(kind = 'emergency') AS had, MAX(cost) AS top FROM visits GROUP BY patient_id)"
        " SELECT had, COUNT(*) AS n, AVG(top) AS mean_top FROM flags GROUP BY had"
    ),
    (
        "WITH first AS (SELECT patient_id, MIN(visited_at) AS since FROM visits GROUP BY patient_id)"
        " SELECT date_trunc('year', f.since) AS cohort, COUNT(DISTINCT v.patient_id) AS people FROM first f"
        " JOIN visits v ON v.patient_id = f.patient_id GROUP BY 1 ORDER BY 1"
    ),
    (
        "WITH base AS (SELECT id, sex, age FROM patients WHERE active), spend AS (SELECT patient_id, SUM(cost) AS total FROM visits GROUP BY 1)"
        " SELECT b.sex, COUNT(*) AS n, AVG(COALESCE(s.total, 0)) AS mean FROM base b LEFT JOIN spend s ON s.patient_id = b.id GROUP BY b.sex"
    ),
    "SELECT AVG(gap) FROM (SELECT patient_id, MAX(visited_at)::date - MIN(visited_at)::date AS gap FROM visits GROUP BY patient_id) g",
    # Statistics.
    "SELECT sex, COUNT(*) AS n, AVG(bmi) AS mean, STDDEV(bmi) AS sd, STDDEV(bmi) / SQRT(COUNT(bmi)) AS se FROM patients GROUP BY sex",
    "SELECT CORR(age, bmi) AS r, REGR_SLOPE(bmi, age) AS slope FROM patients",
    "SELECT sex, active, COUNT(*), GROUPING(sex, active) FROM patients GROUP BY ROLLUP (sex, active) ORDER BY 1, 2",
    "SELECT COUNT(*) AS n, (SELECT COUNT(*) FROM visits) AS v, ROUND((SELECT COUNT(*) FROM visits) / COUNT(*)::numeric, 2) AS ratio FROM patients",
    "SELECT kind, SUM(cost) AS total, SUM(cost) / SUM(SUM(cost)) OVER () AS share FROM visits GROUP BY kind HAVING SUM(cost) > 1000 ORDER BY share DESC",
)

MORE: tuple[str, ...] = (
    # Cohorts and retention.
    (
        "SELECT count(DISTINCT a.patient_id) AS retained FROM visits a JOIN visits b ON b.patient_id = a.patient_id WHERE a.visited_at >="
        " '2020-01-01' AND a.visited_at < '2020-02-01' AND b.visited_at >= '2020-02-01' AND b.visited_at < '2020-03-01'"
    ),
    (
        "WITH jan AS (SELECT DISTINCT patient_id FROM visits WHERE date_trunc('month', visited_at) = '2020-01-01'), feb AS (SELECT DISTINCT"
        " patient_id FROM visits WHERE date_trunc('month', visited_at) = '2020-02-01') SELECT count(*) AS stayed FROM jan JOIN feb USING"
        " (patient_id)"
    ),
    (
        "SELECT count(*) FROM (SELECT patient_id FROM visits WHERE visited_at < '2020-02-01' INTERSECT SELECT patient_id FROM visits WHERE"
        " visited_at >= '2020-02-01') both_periods"
    ),
    (
        "SELECT count(*) AS lost FROM (SELECT patient_id FROM visits WHERE visited_at < '2020-02-01' EXCEPT SELECT patient_id FROM visits"
        " WHERE visited_at >= '2020-02-01') gone"
    ),
    (
        "WITH first AS (SELECT patient_id, min(visited_at) AS first_at FROM visits GROUP BY patient_id) SELECT date_trunc('month',"
        " first_at) AS cohort, count(*) AS size FROM first GROUP BY 1 ORDER BY 1"
    ),
    (
        "WITH first AS (SELECT patient_id, min(visited_at) AS first_at FROM visits GROUP BY patient_id) SELECT count(DISTINCT v.patient_id)"
        " FROM visits v JOIN first f ON f.patient_id = v.patient_id WHERE v.visited_at > f.first_at AND v.visited_at <= f.first_at +"
        " INTERVAL '30 days'"
    ),
    (
        "WITH first AS (SELECT patient_id, min(visited_at) AS t0 FROM visits GROUP BY patient_id) SELECT floor(EXTRACT(epoch FROM"
        " v.visited_at - f.t0) / 604800) AS week, count(DISTINCT v.patient_id) AS people FROM visits v JOIN first f USING (patient_id) WHERE"
        " v.visited_at - f.t0 < INTERVAL '8 weeks' GROUP BY 1 ORDER BY 1"
    ),
    "SELECT count(*) FROM patients p WHERE (SELECT max(v.visited_at) FROM visits v WHERE v.patient_id = p.id) < '2020-02-15'",
    (
        "SELECT CASE WHEN last_at >= '2020-03-01' THEN 'active' WHEN last_at >= '2020-02-01' THEN 'dormant' ELSE 'lost' END AS state,"
        " count(*) FROM (SELECT patient_id, max(visited_at) AS last_at FROM visits GROUP BY patient_id) t GROUP BY 1 ORDER BY 1"
    ),
    (
        "SELECT date_part('month', first_at) AS m, avg(n) AS visits_each FROM (SELECT patient_id, min(visited_at) AS first_at, count(*) AS"
        " n FROM visits GROUP BY patient_id) t GROUP BY 1 ORDER BY 1"
    ),
    # Funnels.
    (
        "SELECT count(DISTINCT p.id) AS people, count(DISTINCT v.patient_id) AS visited, count(DISTINCT i.owner) AS bought FROM patients p"
        " LEFT JOIN visits v ON v.patient_id = p.id LEFT JOIN (SELECT visit_id, w.patient_id AS owner FROM items JOIN visits w ON w.id ="
        " visit_id) i ON i.owner = v.patient_id"
    ),
    (
        "SELECT sum(CASE WHEN n >= 1 THEN 1 ELSE 0 END) AS one, sum(CASE WHEN n >= 2 THEN 1 ELSE 0 END) AS two, sum(CASE WHEN n >= 3 THEN 1"
        " ELSE 0 END) AS three FROM (SELECT patient_id, count(*) AS n FROM visits GROUP BY patient_id) t"
    ),
    (
        "SELECT count(*) FROM patients p WHERE EXISTS (SELECT 1 FROM visits v WHERE v.patient_id = p.id AND v.kind = 'planned') AND NOT"
        " EXISTS (SELECT 1 FROM visits v WHERE v.patient_id = p.id AND v.kind = 'emergency')"
    ),
    (
        "SELECT count(DISTINCT a.patient_id) FROM visits a JOIN visits b ON a.patient_id = b.patient_id AND b.visited_at > a.visited_at"
        " WHERE a.kind = 'planned' AND b.kind = 'emergency'"
    ),
    (
        "SELECT count(*) FROM visits a WHERE a.kind = 'emergency' AND EXISTS (SELECT 1 FROM visits b WHERE b.patient_id = a.patient_id AND"
        " b.visited_at > a.visited_at AND b.visited_at <= a.visited_at + INTERVAL '30 days')"
    ),
    (
        "SELECT kind, count(*) AS n, round(100.0 * count(*) / (SELECT count(*) FROM visits), 1) AS share FROM visits GROUP BY kind ORDER BY"
        " n DESC, kind"
    ),
    # First and last visits, windows over a person's rows.
    (
        "SELECT kind, count(*) FROM (SELECT patient_id, kind, row_number() OVER (PARTITION BY patient_id ORDER BY visited_at, id) AS rn"
        " FROM visits) t WHERE rn = 1 GROUP BY kind ORDER BY kind"
    ),
    (
        "WITH ranked AS (SELECT v.*, rank() OVER (PARTITION BY patient_id ORDER BY cost DESC) AS r FROM visits v) SELECT kind, count(*) AS"
        " n FROM ranked WHERE r = 1 GROUP BY kind ORDER BY kind"
    ),
    (
        "SELECT avg(LEAST(GREATEST(days, 0), 100)) FROM (SELECT patient_id, EXTRACT(epoch FROM visited_at - lag(visited_at) OVER (PARTITION"
        " BY patient_id ORDER BY visited_at, id)) / 86400 AS days FROM visits) g WHERE days IS NOT NULL"
    ),
    (
        "SELECT count(*) FROM (SELECT patient_id, cost, lag(cost) OVER (PARTITION BY patient_id ORDER BY visited_at, id) AS before FROM"
        " visits) t WHERE cost > before"
    ),
    (
        "SELECT kind, sum(cost) FROM (SELECT DISTINCT ON (patient_id) patient_id, kind, cost FROM visits ORDER BY patient_id, visited_at"
        " DESC, id) latest GROUP BY kind ORDER BY kind"
    ),
    (
        "SELECT next_kind, count(*) FROM (SELECT kind, lead(kind) OVER (PARTITION BY patient_id ORDER BY visited_at, id) AS next_kind,"
        " patient_id FROM visits) t WHERE kind = 'planned' GROUP BY next_kind ORDER BY 1"
    ),
    (
        "SELECT kind, avg(share) FROM (SELECT patient_id, kind, cost / NULLIF(sum(cost) OVER (PARTITION BY patient_id), 0) AS share FROM"
        " visits) t GROUP BY kind ORDER BY kind"
    ),
    (
        "SELECT count(*) FROM visits v WHERE v.visited_at = (SELECT max(w.visited_at) FROM visits w WHERE w.patient_id = v.patient_id) AND"
        " v.kind = 'emergency'"
    ),
    # Per person aggregates.
    "SELECT avg(total) AS mean_spend, stddev(total) AS sd FROM (SELECT patient_id, sum(cost) AS total FROM visits GROUP BY patient_id) t",
    "SELECT p.sex, avg((SELECT count(*) FROM visits v WHERE v.patient_id = p.id)) AS visits FROM patients p GROUP BY p.sex ORDER BY p.sex",
    (
        "SELECT p.sex, avg(coalesce(t.n, 0)) FROM patients p LEFT JOIN LATERAL (SELECT count(*) AS n FROM visits v WHERE v.patient_id ="
        " p.id) t ON true GROUP BY p.sex ORDER BY 1"
    ),
    (
        "SELECT width_bucket(total, 0, 1000, 5) AS band, count(*) FROM (SELECT patient_id, sum(cost) AS total FROM visits GROUP BY"
        " patient_id) t GROUP BY 1 ORDER BY 1"
    ),
    (
        "SELECT count(*) FILTER (WHERE kinds = 1) AS loyal, count(*) FILTER (WHERE kinds > 1) AS mixed FROM (SELECT patient_id,"
        " count(DISTINCT kind) AS kinds FROM visits GROUP BY patient_id) t"
    ),
    (
        "SELECT p.sex, count(*) AS heavy FROM patients p JOIN (SELECT patient_id, count(*) AS n FROM visits GROUP BY patient_id HAVING"
        " count(*) > 2) v ON v.patient_id = p.id GROUP BY p.sex ORDER BY p.sex"
    ),
    "SELECT avg(x) FROM (SELECT patient_id, max(cost) - min(cost) AS x FROM visits GROUP BY patient_id) t",
    (
        "SELECT sex, percentile_cont(0.5) WITHIN GROUP (ORDER BY n) FROM (SELECT p.id, p.sex, count(v.id) AS n FROM patients p LEFT JOIN"
        " visits v ON v.patient_id = p.id GROUP BY p.id, p.sex) t GROUP BY sex ORDER BY sex"
    ),
    "SELECT sum(quantity) / count(DISTINCT v.patient_id) AS items_per_person FROM items i JOIN visits v ON v.id = i.visit_id",
    (
        "SELECT v.kind, avg(t.n) AS items FROM visits v JOIN (SELECT i.visit_id, w.patient_id, count(*) AS n FROM items i JOIN visits w ON"
        " w.id = i.visit_id GROUP BY 1, 2) t ON t.visit_id = v.id AND t.patient_id = v.patient_id GROUP BY v.kind ORDER BY 1"
    ),
    "SELECT avg((SELECT sum(i.quantity) FROM items i WHERE i.visit_id = v.id)) FROM visits v WHERE v.kind = 'planned'",
    # Time.
    (
        "SELECT date_trunc('week', visited_at)::date AS week, count(*) AS n, count(DISTINCT patient_id) AS people FROM visits GROUP BY 1"
        " ORDER BY 1"
    ),
    (
        "SELECT to_char(visited_at, 'Dy') AS day, count(*) FROM visits GROUP BY to_char(visited_at, 'Dy'), EXTRACT(isodow FROM visited_at)"
        " ORDER BY EXTRACT(isodow FROM visited_at)"
    ),
    (
        "SELECT CASE WHEN EXTRACT(hour FROM visited_at) BETWEEN 8 AND 17 THEN 'day' ELSE 'night' END AS shift, count(*) FROM visits GROUP"
        " BY 1 ORDER BY 1"
    ),
    (
        "SELECT CASE WHEN EXTRACT(isodow FROM visited_at) IN (6, 7) THEN 'weekend' ELSE 'weekday' END AS part, avg(cost) FROM visits GROUP"
        " BY part ORDER BY part"
    ),
    "SELECT date_bin('7 days', visited_at, TIMESTAMP '2020-01-06') AS bin, sum(cost) FROM visits GROUP BY bin ORDER BY bin",
    "SELECT count(*) FROM visits WHERE visited_at::date = DATE '2020-02-29' - 1",
    (
        "SELECT count(*) FROM visits WHERE visited_at >= date_trunc('year', DATE '2020-06-15') AND visited_at < date_trunc('year', DATE"
        " '2020-06-15') + INTERVAL '1 year'"
    ),
    "SELECT EXTRACT(year FROM born) / 10 * 10 AS decade, count(*) FROM patients WHERE born IS NOT NULL GROUP BY 1 ORDER BY 1",
    (
        "SELECT floor(EXTRACT(year FROM age(DATE '2020-06-30', born)) / 10) * 10 AS age_band, count(*) FROM patients WHERE born IS NOT NULL"
        " GROUP BY 1 ORDER BY 1"
    ),
    (
        "WITH d AS (SELECT date_trunc('month', visited_at) AS m, count(*) AS n FROM visits GROUP BY 1) SELECT m, n, round(avg(n) OVER"
        " (ORDER BY m ROWS BETWEEN 2 PRECEDING AND CURRENT ROW), 1) AS smooth FROM d ORDER BY m"
    ),
    (
        "SELECT date_trunc('month', visited_at) AS m, sum(count(*)) OVER (ORDER BY date_trunc('month', visited_at)) AS so_far FROM visits"
        " GROUP BY 1 ORDER BY 1"
    ),
    "SELECT count(*) FROM visits v JOIN patients p ON p.id = v.patient_id WHERE (v.visited_at::date - p.born) / 365 < 18",
    # Texts, bands and lookups.
    "SELECT concat(left(zip, 2), 'xx') AS area, count(*) FROM patients WHERE zip IS NOT NULL GROUP BY 1 ORDER BY 1",
    "SELECT split_part(name, ' ', 1) AS first_word, count(*) FROM patients GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 5",
    "SELECT initcap(kind) || ' visits' AS what, count(*) FROM visits GROUP BY 1 ORDER BY 1",
    "SELECT concat_ws(' / ', sex, city) AS who, count(*) FROM patients GROUP BY 1 ORDER BY 1",
    "SELECT lpad(age::text, 3, '0') AS a, count(*) FROM patients GROUP BY 1 ORDER BY 1",
    "SELECT sex || '-' || age / 10 AS cell, count(*) FROM patients GROUP BY 1 ORDER BY 1",
    "SELECT replace(lower(diagnosis), ' ', '_') AS code, count(*) FROM visits GROUP BY 1 ORDER BY 1",
    (
        "SELECT CASE WHEN bmi < 18.5 THEN 'under' WHEN bmi < 25 THEN 'normal' WHEN bmi < 30 THEN 'over' WHEN bmi IS NOT NULL THEN 'obese'"
        " END AS class, sex, count(*) FROM patients GROUP BY 1, 2 ORDER BY 1, 2"
    ),
    "SELECT (SELECT c.region FROM cities c WHERE c.name = p.city) AS region, count(*) FROM patients p GROUP BY 1 ORDER BY 1",
    (
        "SELECT r.country, count(*) FROM patients p JOIN cities c ON c.name = p.city JOIN regions r ON r.name = c.region GROUP BY r.country"
        " ORDER BY 1"
    ),
    (
        "SELECT coalesce(c.region, 'abroad') AS region, avg(p.age), count(*) FROM patients p LEFT JOIN cities c ON c.name = p.city GROUP BY"
        " 1 ORDER BY 1"
    ),
    "SELECT sex, grouping(sex) AS total, count(*), avg(bmi) FROM patients GROUP BY GROUPING SETS ((sex), ()) ORDER BY 2, 1",
    (
        "SELECT sex, active, count(*) AS n, round(100.0 * count(*) / sum(count(*)) OVER (PARTITION BY sex), 1) AS pct FROM patients GROUP"
        " BY 1, 2 ORDER BY 1, 2"
    ),
)
"""Sixty more: cohorts, funnels, first and last visits of a person, bands and texts."""

REFUSED: dict[str, str] = {
    "SELECT sex, bool_or": "Whether anybody is would be told by one person; a count says how many are.",
    "AVG(EXTRACT(YEAR FROM CURRENT_DATE)": "The owner declared no bounds of the date.",
    "id NOT IN (SELECT patient_id": "A NULL in the list decides over everybody; NOT EXISTS is answered.",
    "AVG(gap)": "The owner declared no bounds of the times.",
    "LATERAL": "A subquery for a value, or a join with a subquery grouped by the key, is answered.",
    "avg(share)": "A quotient has no bounds; LEAST(GREATEST(share, 0), 1) gives it some.",
}
"""What a query has in it that is refused, and why."""
ANSWERED = tuple(sql for sql in (*QUERIES, *MORE) if not any(part in sql for part in REFUSED))
