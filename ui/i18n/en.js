// English. Objects are plural forms, chosen by {n}.
const action = {
    submitted: 'Submitted', leased: 'Leased', running: 'Started', completed: 'Completed', failed: 'Failed', dead: 'Dead',
    cancelled: 'Cancelled', requeued: 'Requeued', expired: 'Lease expired', released: 'Given back', removed: 'Worker removed',
    due: 'Due', turn: 'Its turn', cancel_requested: 'Cancel requested', cancel_delivered: 'Cancel delivered', stopped: 'Stopped',
    prioritized: 'Priority changed', delivered: 'Delivered',
};
const actions = {
    task_created: action.submitted, task_leased: action.leased, task_started: action.running, task_completed: action.completed,
    task_failed: action.failed, task_dead: action.dead, task_cancelled: action.cancelled, task_requeued: action.requeued,
    lease_expired: action.expired, lease_released: action.released, lease_removed: 'Lease ended with its worker', task_due: action.due,
    task_turn: action.turn, task_cancel_requested: action.cancel_requested, task_cancel_delivered: action.cancel_delivered,
    webhook_created: 'Webhook created', webhook_paused: 'Webhook paused', webhook_removed: 'Webhook removed', delivery_requeued: 'Delivery tried again', task_prioritized: 'Priority changed',
    worker_registered: 'Worker registered', worker_updated: 'Worker changed', worker_removed: 'Worker removed',
    queue_paused: 'Queue paused', queue_resumed: 'Queue resumed', queue_configured: 'Queue changed', queue_created: 'Queue created',
    key_created: 'Key created', key_revoked: 'Key revoked', config_updated: 'Settings changed', setting_changed: 'Setting changed',
    leadership_promote: 'Primary promoted', credential_exhausted: 'Credential exhausted', credential_cleared: 'Credential cleared',
};
const group = (name, texts) => Object.fromEntries(Object.entries(texts).map(([key, text]) => [`${name}.${key}`, text]));

export default {
    ...group('cause', action),
    ...group('action', { ...action, ...actions }),
    ...group('entity', { webhook: 'webhook', llm_task: 'task', lease: 'lease of', worker: 'worker', queue: 'queue', key: 'key', setting: 'setting', runtime_config: 'settings', membridge_project: 'project', credential: 'credential', runtime: 'service' }),
    ...group('status', {
        queued: 'Queued', leased: 'Leased', running: 'Running', completed: 'Completed', failed: 'Failed', dead: 'Dead', cancelled: 'Cancelled',
        online: 'Online', offline: 'Offline', syncing: 'Syncing', error: 'Error', unknown: 'Unknown', draining: 'Draining', paused: 'Paused',
        active: 'Active', primary: 'Primary', secondary: 'Secondary', success: 'Success', exhausted: 'Limit reached', released: 'Given back', expired: 'Expired', removed: 'Worker removed',
    }),
    ...group('warning', {
        no_workers: 'Nobody works.', transaction_held: 'A transaction is held open.', snapshot_held: 'A snapshot is held.', queue_paused: 'A queue is paused.', credential_exhausted: 'A usage limit is reached.',
        webhook_failing: 'A webhook fails.', waiting_long: 'Long waits.', listen_lost: 'No notifications.', membridge_failing: 'Membridge is away.',
    }),
    ...group('why', {
        deferred: 'Waits for its time', retry_wait: 'Waits to be tried again', context_busy: 'Waits for its turn in the context', queue_paused: 'The queue is paused',
        queue_full: 'The queue is full', no_worker: 'No worker is online', no_label: 'No worker has the labels', workers_full: 'All matching workers are full',
        credential_exhausted: 'The usage limit is reached', pinned: 'Kept for the worker of its context', next: 'Next in line', leased: 'With a worker', running: 'Running', cancelling: 'Being stopped',
        lease_expired: 'The lease ran out', completed: 'Completed', dead: 'Dead', cancelled: 'Cancelled',
        waits: 'Why it waits', with: 'Where it is', over: 'How it ended', goes: 'It would go to', 'goes.none': 'no worker at the moment',
        workers_online: 'Workers online', workers_matching: 'that match', workers_free: 'with room', ahead: 'Tasks before it',
    }),

    all: 'All', none: 'None', back: 'Back', save: 'Save', close: 'Close', copy: 'Copy', again: 'Try again', resume: 'Resume', download: 'Download',
    actions: 'Actions', loading: 'Loading', lost: 'There is no such page', skip: 'Skip to content', nav: 'Pages', pager: 'Pages of the list',
    'pager.newest': 'Newest', 'pager.older': 'Older',
    ...group('nav', { overview: 'Overview', tasks: 'Tasks', workers: 'Workers', queues: 'Queues', membridge: 'Membridge', artifacts: 'Artifacts', audit: 'Audit' }),
    ...group('tool', { language: 'Українською', help: 'Keyboard shortcuts', forget: 'Forget the API key' }),
    ...group('theme', { system: 'Colours: as the system', light: 'Colours: light', dark: 'Colours: dark' }),
    ...group('connection', {
        live: 'Live', connecting: 'Connecting', polling: 'Polling', offline: 'Offline',
        'live.hint': 'Changes are shown as they happen', 'connecting.hint': 'The event stream is being opened; the data is asked for every few seconds',
        'polling.hint': 'There is no event stream just now; the data is asked for every few seconds', 'offline.hint': 'The service does not answer; it is tried again and again',
    }),
    ...group('help', { title: 'Keyboard shortcuts', search: 'Search', this: 'This list' }),
    ...group('key', {
        title: 'API key', text: 'This service asks for a key.', label: 'API key', hint: 'Kept in this tab until it is closed, and nowhere else.', wrong: 'This key was not accepted.',
        use: 'Use this key', later: 'Not now', enter: 'Enter an API key', show: 'Show', hide: 'Hide',
    }),
    ...group('error', {
        title: 'That did not work', network: 'The service cannot be reached.', key: 'An API key is needed.', rights: 'This key may not do that.', away: 'The service cannot do that now ({said}).',
        page: 'This page has a fault: {said}', status: 'The service answered with {status}.', request: 'Request {id}', stale: 'Shown is the state of {when}.',
    }),

    ...group('overview', {
        lead: 'What went through, what waits, and who works', hour: 'Last hour', day: 'Last day', window: 'Time span', warnings: 'Warnings',
        success: 'Success rate', 'success.note': 'of the tasks that ended', 'success.none': 'nothing has ended yet', workers: 'Workers online', 'workers.note': 'of all that are known',
        leases: 'Live leases', 'leases.note': { one: '{n} running', other: '{n} running' }, waiting: 'Waiting', 'waiting.note': 'queued tasks', oldest: 'Longest waiting', 'oldest.none': 'nobody waits',
        statuses: 'Tasks by status', recent: 'Latest', depth: { one: '{n} waits', other: '{n} wait' }, empty: 'Nothing has happened yet', 'empty.hint': 'Submit a task, and run a worker that takes it:',
    }),
    ...group('chart', {
        time: 'Time', flow: 'Throughput', 'flow.sum': '{submitted} submitted, {completed} completed, {failed} failed', submitted: 'Submitted', completed: 'Completed', failed: 'Failed', dead: 'Dead',
        depth: 'Queue depth', 'depth.sum': 'now {n}', wait: 'Wait before a lease', 'wait.sum': 'half within {p50}, 95 % within {p95}', p50: 'Half', p95: '95 %',
    }),
    ...group('tasks', {
        new: 'New task', lead: { one: '{shown} task in all', other: '{shown} tasks in all' }, search: 'Search prompts', filters: 'More filters', choose: 'Choose task {id}', 'choose.all': 'Choose all on this page', 'choose.none': 'Choose none',
        chosen: { one: '{n} chosen', other: '{n} chosen' }, bulk: 'Actions for the chosen tasks', 'bulk.done': { one: 'Done for {n} task', other: 'Done for {n} tasks' }, 'bulk.failed': { one: 'Not for {n} task: {said}', other: 'Not for {n} tasks: {said}' },
        'cancel.ask': { one: 'Cancel {n} task? What runs is stopped.', other: 'Cancel {n} tasks? What runs is stopped.' }, shown: { one: '{n} task', other: '{n} tasks' }, all: 'Show all tasks',
        empty: 'No tasks yet', 'empty.hint': 'Make one with “New task”, or from the command line:', nothing: 'Nothing matches', 'nothing.hint': 'Loosen the filters, or look further back.',
    }),
    ...group('submit', {
        lead: 'It runs on the next worker that fits', prompt: 'Prompt', context_id: 'Context', 'context_id.hint': 'What belongs together, for example shop/7', agent_slug: 'Agent', 'agent_slug.hint': 'Who is to do it, for example writer',
        more: 'More settings', queue: 'Queue', priority: 'Priority', 'priority.hint': '0 is first, 9 is last', requires: 'Labels', 'requires.hint': 'That a worker must have, with commas between them', desired_format: 'Answer as',
        timeout_sec: 'Time limit, seconds', budget: 'Budget', max_attempts: 'Attempts', run_at: 'Not before', 'run_at.hint': 'In your time zone', serial: 'One task of the context at a time, in order', send: 'Submit', done: 'Submitted',
    }),
    ...group('task', {
        status: 'Status', prompt: 'Prompt', agent: 'Agent', queue: 'Queue', worker: 'Worker', attempts: 'Attempts', created: 'Created', context_id: 'Context', label: 'Label', priority: 'Priority', requires: 'Labels',
        crashes: 'Crashes', timeout: 'Time limit', format: 'Answer as', hints: 'Hints', run_at: 'Not before', retry_at: 'Next try', finished_at: 'Ended', key: 'Idempotency key', facts: 'Details', copy: 'Copy the id',
        again: 'Similar task', cancel: 'Cancel', 'cancel.running': 'A worker has this task. It is told to stop.', 'cancel.waiting': 'It will not run.', 'cancel.why': 'Reason (optional)', 'cancel.done': 'Cancelled, or about to be', stopping: 'Stopping',
        requeue: 'Requeue', 'requeue.done': 'Queued again', 'priority.ask': '0 is first, 9 is last.', 'priority.done': 'The priority is changed', gone: 'No such task', 'gone.hint': 'It may have been removed after its time, or the address is not complete.',
    }),
    lease: 'Lease', ...group('lease', { since: 'Since', ends: 'Runs out', in: 'in {time}', over: 'has run out', hint: 'The worker renews it while it works.' }),
    progress: 'Progress',
    spent: 'Spent so far', ...group('spent', { cost: 'Cost', budget: 'of {of}', tokens: 'Tokens', inout: '{input} read, {output} written', time: 'Work time', none: 'Nothing yet: no worker has had it.' }),
    result: 'Result', ...group('result', { none: 'It left no result', wait: 'The result will be here', error: 'Error' }),
    log: 'Log', ...group('log', { attempt: '── attempt {n} ──', live: 'Live', ended: 'Ended', wait: 'Nothing printed yet' }),
    attempts: 'Attempts', ...group('attempts', { none: 'Not tried yet', attempt: '#', worker: 'Worker', started: 'Started', took: 'Took', outcome: 'Outcome', tokens: 'Tokens', error: 'Error' }),
    timeline: 'Timeline', 'timeline.by': 'by',
    ...group('workers', { lead: { one: '{n} of {of} online', other: '{n} of {of} online' }, empty: 'No workers yet', 'empty.hint': 'Start one, on this machine or another:' }),
    ...group('worker', {
        capacity: 'Leases in use', used: '{used} of {of}', sessions: { one: '{n} session', other: '{n} sessions' }, attempt: 'attempt {n}', more: { one: '{n} more task', other: '{n} more tasks' }, idle: 'Nothing to do at the moment', beat: 'Last beat',
        unable: 'It cannot run tasks: it has no Claude CLI.', exhausted: 'Its credential has reached the usage limit until', drain: 'Drain', 'drain.done': '{name} takes nothing new', 'resume.done': '{name} takes tasks again', remove: 'Remove',
        'remove.ask': { one: 'Remove {name}? {n} task goes back into the queue.', other: 'Remove {name}? {n} tasks go back into the queue.' }, 'remove.done': '{name} is removed',
    }),
    ...group('queues', { lead: 'A paused queue hands out nothing; what runs goes on', empty: 'No queues yet', 'empty.hint': 'A queue comes into being with its first task.' }),
    ...group('queue', {
        name: 'Queue', state: 'State', queued: 'Waiting', age: 'Oldest waits', running: 'Running', failed: 'Failed', dead: 'Dead', open: 'Open', serial: 'serial', pause: 'Pause', 'pause.done': 'Queue {name} is paused', 'resume.done': 'Queue {name} hands out again',
        redrive: 'Requeue dead', 'redrive.ask': { one: 'Requeue {n} dead task of {name}?', other: 'Requeue {n} dead tasks of {name}?' }, 'redrive.done': { one: '{n} task queued again', other: '{n} tasks queued again' },
    }),
    ...group('membridge', {
        lead: 'The control plane that lists workers and leads projects', settings: 'Connection', url: 'Address', key: 'Admin key', 'key.kept': 'One is stored; leave empty to keep it', 'key.none': 'None is stored', saved: 'Saved', test: 'Test', tested: 'Tested', untested: 'Not tested yet',
        connected: 'Connected', unconnected: 'Not connected', 'test.good': 'Membridge {version} answers, and takes the key.', 'test.bad': 'It does not work: {said}', sync: 'Worker sync', last: 'Last success', failures: 'Failures in a row', tripped: 'resting', error: 'Last error',
        listed: 'Listed', 'listed.value': { one: '{n} agent', other: '{n} agents' }, projects: 'Projects', 'projects.none': 'No projects', 'projects.hint': 'A project appears with the first heartbeat of one of its nodes.', leader: 'Primary', preferred: 'preferred',
        nodes: 'Nodes', 'nodes.count': { one: '{n} node', other: '{n} nodes' }, 'nodes.none': 'No nodes', node: 'Node', role: 'Role', observations: 'Observations', seen: 'Last seen', addresses: 'Addresses',
        promote: 'Make primary', 'promote.ask': 'Make {node} the primary of {project}? The present primary becomes a secondary.', 'promote.done': '{node} is to be the primary', unset: 'Membridge is not set up', 'unset.hint': 'Enter its address above. The queue works without it.',
    }),
    ...group('artifacts', { lead: 'What tasks left behind, newest first', empty: 'No artifacts yet', 'empty.hint': 'Each completed attempt leaves one.' }),
    ...group('artifact', { type: 'Type', task: 'Task', content: 'Content', tags: 'Tags', size: 'Size', created: 'Created', stored: 'in object storage', empty: 'empty', download: 'Download artifact {id}' }),
    ...group('audit', { lead: 'Every change, written by the database in the transaction that made it', time: 'Time', action: 'Action', entity: 'Of', actor: 'Actor', detail: 'Detail', entity_type: 'Kind', entity_id: 'Id', empty: 'The trail is empty', 'empty.hint': 'The first submission writes its first row.', nothing: 'Nothing matches' }),
    verify: 'Is the trail whole?', ...group('verify', { run: 'Verify', hint: 'Checks that no transition is missing, that each is a legal one, and that the last row says what the task says.', running: '{shown} tasks checked…', whole: { one: 'Whole: {shown} task checked', other: 'Whole: {shown} tasks checked' }, broken: { one: '{n} fault found', other: '{n} faults found' } }),
};
