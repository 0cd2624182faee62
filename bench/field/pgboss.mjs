// pg-boss: eight workers that fetch and complete, one job at a time or a hundred.

import PgBoss from "pg-boss";
import { database, jobs, payload, query, report } from "./measured.mjs";

const batchSize = Number(process.argv[2]);
const boss = new PgBoss({ connectionString: database, max: 8, supervise: false, schedule: false });
await boss.start();
await boss.createQueue("noop");
for (let at = 0; at < jobs; at += 1000) {
  await boss.insert(Array.from({ length: Math.min(1000, jobs - at) }, () => ({ name: "noop", data: payload })));
}
await query("vacuum analyze");

let done = 0;
const begun = performance.now();
async function work() {
  while (done < jobs) {
    const batch = await boss.fetch("noop", { batchSize });
    if (batch.length === 0) return;
    await boss.complete("noop", batch.map((job) => job.id));
    done += batch.length;
  }
}
await Promise.all(Array.from({ length: 8 }, work));
if (done !== jobs) throw new Error(`${done} of ${jobs} jobs`);
report(begun);
process.exit(0);
