// node-postgres, its cursor and its stream, and postgres.js: each says what it saw, a line for each check.
"use strict";

const pg = require("pg");
const Cursor = require("pg-cursor");
const QueryStream = require("pg-query-stream");
const postgres = require("postgres");

const PATIENTS = "SELECT count(*) AS n FROM patients";
const BY_SEX =
  "SELECT sex, count(*) AS n, sum(age) AS years FROM patients GROUP BY sex ORDER BY sex";
const JOINED =
  "SELECT p.sex, count(*) AS n FROM visits v JOIN patients p ON p.id = v.patient_id" +
  " WHERE v.kind = 'planned' GROUP BY p.sex ORDER BY p.sex";
const CITIES = "SELECT name, region FROM cities ORDER BY name";
// A certificate that epsql made for itself is signed by nobody: encrypted, and not verified.
const ssl = process.env.PGSSLMODE === "disable" ? false : { rejectUnauthorized: false };

function say(name, value) {
  console.log(`${name}: ${JSON.stringify(value)}`);
}

async function attempt(name, act) {
  try {
    say(name, await act());
  } catch (error) {
    console.log(`${name} ! ${error.code} ${error.message} at ${error.position}`);
  }
}

async function queries(client) {
  for (const text of [PATIENTS, BY_SEX, JOINED, CITIES]) {
    const { rows, fields, command, rowCount } = await client.query(text);
    const described = fields.map((f) => [f.name, f.dataTypeID, f.dataTypeModifier, f.columnID]);
    say(text, [described, rows, command, rowCount]);
  }
  const text = "SELECT count(*) FROM patients WHERE age >= $1 AND sex = $2 AND active = $3";
  say("parameters", (await client.query(text, [40, "male", true])).rows);
  say("arrays", (await client.query({ text: BY_SEX, rowMode: "array" })).rows);
  for (const age of [20, 50]) {
    const named = { name: "older", text: "SELECT count(*) FROM patients WHERE age > $1", values: [age] };
    say(`named ${age}`, (await client.query(named)).rows);
  }
  const several = await client.query(`${PATIENTS}; SELECT 2 AS two; ${CITIES}`);
  say("several statements", several.map((one) => one.rows));
  const at_once = await Promise.all([client.query(PATIENTS), client.query(CITIES), client.query(BY_SEX)]);
  say("queued", at_once.map((one) => one.rows));
  say("binary", (await client.query({ text: "SELECT $1::int AS v", values: [5], binary: true })).rows);
}

async function errors(client) {
  for (const text of ["SELECT nope FROM patients", "SELECT 1/0", "SELECT count(*) FRM x"]) {
    await attempt(text, () => client.query(text));
    await attempt(`${text} prepared`, () => client.query(text, []));
  }
  await attempt("too many", () => client.query("SELECT count(*) FROM patients WHERE age > $1", [1, 2]));
  await client.query("BEGIN");
  await attempt("inside", () => client.query("SELECT nope FROM patients"));
  await attempt("after it", () => client.query(PATIENTS));
  await client.query("ROLLBACK");
  say("after rollback", (await client.query(PATIENTS)).rows);
}

async function cursors(client) {
  const cursor = client.query(new Cursor(BY_SEX));
  say("cursor", [await cursor.read(1), await cursor.read(1), await cursor.read(5), await cursor.read(1)]);
  await cursor.close();
  const half = client.query(new Cursor(CITIES));
  say("half a cursor", await half.read(2));
  await half.close();
  const seen = [];
  const stream = client.query(new QueryStream(BY_SEX, [], { batchSize: 1 }));
  for await (const row of stream) seen.push(row);
  say("stream", seen);
  await attempt("broken cursor", () => client.query(new Cursor("SELECT nope FROM patients")).read(1));
  say("after it", (await client.query(PATIENTS)).rows);
}

async function withPostgresJs() {
  const sql = postgres({ ssl: ssl || undefined, max: 2, onnotice: () => {}, fetch_types: true });
  say("postgres.js", await sql.unsafe(BY_SEX));
  say("postgres.js parameters", await sql`SELECT count(*) FROM patients WHERE age > ${30} AND sex = ${"male"}`);
  const text = sql`SELECT sex, count(*) AS n FROM patients GROUP BY sex ORDER BY sex`;
  say("postgres.js described", (await text.describe()).columns.map((c) => [c.name, c.type]));
  const parts = [];
  for await (const rows of sql`SELECT sex, count(*) AS n FROM patients GROUP BY sex ORDER BY sex`.cursor(1)) parts.push(rows);
  say("postgres.js cursor", parts);
  const both = await sql.begin((tx) => [tx`SELECT count(*) FROM patients`, tx`SELECT count(*) FROM cities`]);
  say("postgres.js transaction", both);
  await attempt("postgres.js error", () => sql`SELECT nope FROM patients`);
  await attempt("postgres.js savepoint", () =>
    sql.begin(async (tx) => {
      await tx.savepoint((sp) => sp`SELECT nope FROM patients`).catch((error) => say("inner", error.code));
      return tx`SELECT count(*) FROM patients`;
    }));
  await sql.end();
}

async function main() {
  const client = new pg.Client({ ssl });
  await client.connect();
  await queries(client);
  await errors(client);
  await cursors(client);
  await client.end();
  const pool = new pg.Pool({ ssl, max: 3 });
  say("pool", (await Promise.all([1, 2, 3, 4, 5].map(() => pool.query(PATIENTS)))).map((r) => r.rows[0].n));
  await pool.end();
  await withPostgresJs();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
