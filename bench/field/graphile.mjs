// graphile-worker: 24 at a time, with its defaults, or tuned as its own guide to performance does.

import { makeWorkerUtils, run } from "graphile-worker";
import { database, jobs, payload, query, report, until } from "./measured.mjs";

const tuned = process.argv[2] === "tuned";
const utils = await makeWorkerUtils({ connectionString: database });
await utils.migrate();
for (let at = 0; at < jobs; at += 1000) {
  const chunk = Array.from({ length: Math.min(1000, jobs - at) }, () => ({ identifier: "noop", payload }));
  await utils.addJobs(chunk);
}
await utils.release();
await query("vacuum analyze");

let done = 0;
const begun = performance.now();
const runner = await run({
  connectionString: database,
  concurrency: 24,
  maxPoolSize: 25,
  noHandleSignals: true,
  taskList: { noop: async () => void done++ },
  preset: tuned ? { worker: { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } } : {},
});
await until(() => done >= jobs);
// Done is what is stored: a completed job's row is gone.
await until(async () => (await query("select 1 from graphile_worker.jobs limit 1")).length === 0);
report(begun);
await runner.stop();
process.exit(0);
