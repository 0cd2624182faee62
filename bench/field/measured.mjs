// What the drivers of other queues share: jobs of the same size as ours, and one line of JSON at the end.

import pg from "pg";

/** The database that a driver may fill. */
export const database = process.env.DATABASE_URL;
/** How many jobs it works off. */
export const jobs = Number(process.env.JOBS);
/** What each job carries: as much as a task of ours. */
export const payload = { prompt: "x".repeat(150) };

/** Runs `sql` on a connection of its own. */
export async function query(sql, values = []) {
  const client = new pg.Client({ connectionString: database });
  await client.connect();
  try {
    return (await client.query(sql, values)).rows;
  } finally {
    await client.end();
  }
}

/** Waits until `condition` holds: looks every few milliseconds, for two minutes at most. */
export async function until(condition) {
  const deadline = Date.now() + 120_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error("it is not done after two minutes");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Says how long it took since `begun` (performance.now()). */
export function report(begun) {
  const seconds = (performance.now() - begun) / 1000;
  console.log(JSON.stringify({ jobs, seconds }));
}
