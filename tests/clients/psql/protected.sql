-- Questions about people. Noise taken out, the answers are those of Postgres.
SET client_min_messages = warning;
SELECT count(*) FROM patients;
SELECT sex, count(*) AS n, sum(age) AS years FROM patients GROUP BY sex ORDER BY sex;
SELECT p.sex, v.kind, count(*) AS n FROM visits v JOIN patients p ON p.id = v.patient_id
 WHERE v.kind = 'planned' GROUP BY p.sex, v.kind HAVING count(*) > 20 ORDER BY n DESC;
SELECT count(*) AS "Wörter ""quoted""" FROM public.patients AS p WHERE p.active;
SELECT c.region, count(*) AS n FROM patients p JOIN cities c ON c.name = p.city
 GROUP BY c.region ORDER BY c.region;
SELECT count(*) FROM patients WHERE age >= $1 AND sex = $2 \bind 40 male \g
\pset format csv
SELECT sex, count(*) FROM patients GROUP BY sex ORDER BY sex;
\pset format aligned
\x on
SELECT count(*) AS n, sum(quantity) AS pieces FROM items;
\x off
SELECT count(*) AS n FROM patients \gset
\echo :n
BEGIN;
DECLARE c CURSOR FOR SELECT sex, count(*) AS n FROM patients GROUP BY sex ORDER BY sex;
FETCH 1 FROM c;
FETCH ALL FROM c;
CLOSE c;
SELECT count(*) FROM visits;
ROLLBACK;
COPY (SELECT sex, count(*) FROM patients GROUP BY sex ORDER BY sex) TO STDOUT;
COPY (SELECT sex, count(*) AS n FROM patients GROUP BY sex ORDER BY sex) TO STDOUT WITH (FORMAT csv, HEADER);
\copy (SELECT count(*) FROM patients) TO STDOUT
SELECT count(*) FROM patients \; SELECT 2 AS two \; SELECT count(*) AS n FROM cities;
SELECT sex, count(*) FROM patients GROUP BY sex LIMIT 0;
SELECT name, age FROM patients WHERE 1 = 0;
