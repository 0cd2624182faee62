// One task: what it is, where it stands and why, and all that has happened to it.
import { html, useNow } from '../lib.js';
import { download, get, page, post, RUNTIME } from '../api.js';
import { bytes, duration, localTimes, money, number, visible } from '../format.js';
import { has, named, t } from '../i18n.js';
import { Ago, Badge, Bar, Button, Card, Copy, Empty, Heading, Icon, Labels, Loaded, Table, Text, When, WorkerLink } from '../parts.js';
import { useResource } from '../resource.js';
import { to } from '../router.js';
import { act, confirm } from '../talk.js';
import { Log } from './log.js';

const OVER = new Set(['completed', 'dead', 'cancelled']);
const AGAIN = new Set(['failed', 'dead', 'cancelled']);
/** How much of a prompt or a result is drawn; the rest is a download away. */
const SHOWN = 100000;

async function load(id, signal) {
    const at = `${RUNTIME}/llm-tasks/${encodeURIComponent(id)}`;
    const [task, why, events, attempts, artifacts] = await Promise.all([
        get(at, { signal }),
        get(`${at}/explain`, { signal }),
        get(`${at}/events`, { signal }),
        get(`${at}/attempts`, { signal }),
        page(`${RUNTIME}/artifacts`, { query: { task_id: id, limit: 50 }, signal }),
    ]);
    const result = attempts.some(one => one.artifact_id) ? await get(`${at}/result`, { signal }) : null;
    return { task, why, events, attempts, artifacts: artifacts.items, result };
}

function Actions({ task, reload }) {
    const at = `${RUNTIME}/llm-tasks/${task.id}`;
    const cancel = async () => {
        const sure = await confirm({ title: t('task.cancel'), text: task.lease_id ? t('task.cancel.running') : t('task.cancel.waiting'), action: t('task.cancel'), danger: true, field: { label: t('task.cancel.why'), rules: { maxlength: 500 } } });
        if (sure) await act(() => post(`${at}/cancel`, sure.value ? { reason: sure.value } : {}), t('task.cancel.done')).then(reload);
    };
    const requeue = () => act(() => post(`${at}/requeue`, {}), t('task.requeue.done')).then(reload);
    const rank = async () => {
        const sure = await confirm({ title: t('task.priority'), text: t('task.priority.ask'), action: t('save'), field: { label: t('task.priority'), type: 'number', value: task.priority, rules: { min: 0, max: 9, required: true } } });
        if (sure) await act(() => post(`${at}/priority`, { priority: Number(sure.value) }), t('task.priority.done')).then(reload);
    };
    return html`
        <${Button} icon="plus" onClick=${() => { location.hash = to('tasks', 'new', { prompt: task.prompt.length < 4000 ? task.prompt : '', context_id: task.context_id, agent_slug: task.agent_slug, queue: task.queue }); }}>${t('task.again')}<//>
        ${task.status === 'queued' && html`<${Button} icon="arrow-up-down" onClick=${rank} data-act="priority">${t('task.priority')}<//>`}
        ${AGAIN.has(task.status) && html`<${Button} icon="rotate-ccw" kind="primary" onClick=${requeue} data-act="requeue">${t('task.requeue')}<//>`}
        ${!OVER.has(task.status) && html`<${Button} icon="ban" kind="danger" disabled=${Boolean(task.cancel_requested_at)} onClick=${cancel} data-act="cancel">${task.cancel_requested_at ? t('task.stopping') : t('task.cancel')}<//>`}`;
}

function Why({ task, why }) {
    const data = why.data ?? {};
    const facts = ['workers_online', 'workers_matching', 'workers_free', 'ahead'].filter(name => typeof data[name] === 'number');
    return html`<${Card} title=${OVER.has(task.status) ? t('why.over') : task.lease_id ? t('why.with') : t('why.waits')} class="why">
        <p class="why-line">${has(`why.${why.reason}`) && html`<strong data-why=${why.reason}>${t(`why.${why.reason}`)}</strong>`}<bdi class="muted">${localTimes(visible(why.sentence))}</bdi></p>
        ${'next_worker' in data && html`<p class="goes-to"><${Icon} name="server" /> ${t('why.goes')} ${data.next_worker ? html`<${WorkerLink} name=${data.next_worker} />` : html`<span>${t('why.goes.none')}</span>`}</p>`}
        ${facts.length > 0 && html`<dl class="inline-facts">${facts.map(name => html`<div><dt>${t(`why.${name}`)}</dt><dd>${number(data[name])}</dd></div>`)}</dl>`}
    <//>`;
}

function Lease({ task, why }) {
    const present = useNow();
    const { expires_at: end, started_at: start } = why.data ?? {};
    const left = end - present;
    const whole = end - start;
    return html`<${Card} title=${t('lease')}>
        <dl class="facts"><dt>${t('task.worker')}</dt><dd><${WorkerLink} name=${task.worker_id} /></dd>
            <dt>${t('lease.since')}</dt><dd><${Ago} at=${start} /></dd>
            <dt>${t('lease.ends')}</dt><dd class=${left < 10000 ? 'soon' : ''} data-countdown>${left > 0 ? t('lease.in', { time: duration(Math.ceil(left / 1000) * 1000) }) : t('lease.over')}</dd></dl>
        <${Bar} value=${Math.max(0, Math.min(left, whole))} max=${whole} tone=${left < 10000 ? 'failed' : 'running'} label=${t('lease.ends')} />
        <p class="hint">${t('lease.hint')}</p>
    <//>`;
}

function Progress({ progress }) {
    const share = typeof progress?.percent === 'number' ? progress.percent : null;
    const rest = Object.entries(progress ?? {}).filter(([name]) => name !== 'text' && name !== 'percent');
    return html`<${Card} title=${t('progress')}>
        ${share !== null && html`<div class="progress-line"><${Bar} value=${share} max=${100} label=${t('progress')} /><strong>${number(share)} %</strong></div>`}
        ${progress.text && html`<p class="progress-text" dir="auto">${visible(progress.text).slice(-600)}</p>`}
        ${rest.length > 0 && html`<dl class="inline-facts">${rest.slice(0, 8).map(([name, value]) => html`<div><dt><${Text} value=${name} length=${30} /></dt><dd><${Text} value=${typeof value === 'object' ? JSON.stringify(value) : value} length=${60} /></dd></div>`)}</dl>`}
    <//>`;
}

/** What it has cost: of all attempts together, and of the one under way. */
function spent(attempts, usage) {
    const measured = [...attempts.filter(one => one.ended_at).map(one => one.metrics), usage].filter(Boolean);
    const total = name => (measured.some(one => typeof one[name] === 'number') ? measured.reduce((sum, one) => sum + (typeof one[name] === 'number' ? one[name] : 0), 0) : null);
    const cost = total('cost_usd') ?? total('total_cost_usd');
    return { tokens: total('tokens_used'), input: total('input_tokens'), output: total('output_tokens'), cost, ms: total('duration_ms') };
}

function Spent({ attempts, usage, task }) {
    const sums = spent(attempts, usage);
    const budget = task.policy.budget;
    return html`<${Card} title=${t('spent')}>
        <div class="mini-tiles"><div><span>${t('spent.cost')}</span><strong>${money(sums.cost)}</strong>${budget > 0 && html`<small class="muted">${t('spent.budget', { of: money(budget) })}</small>`}</div>
            <div><span>${t('spent.tokens')}</span><strong>${number(sums.tokens)}</strong>${sums.input !== null && html`<small class="muted">${t('spent.inout', { input: number(sums.input), output: number(sums.output) })}</small>`}</div>
            <div><span>${t('spent.time')}</span><strong>${duration(sums.ms)}</strong></div></div>
        ${attempts.length === 0 && html`<p class="hint">${t('spent.none')}</p>`}
    <//>`;
}

function Facts({ task }) {
    const rows = [
        ['context_id', html`<a href=${to('tasks', '', { context_id: task.context_id })}><${Text} value=${task.context_id} /></a>`],
        ['agent', html`<${Text} value=${task.agent_slug} />`],
        ['queue', html`<a href=${to('tasks', '', { queue: task.queue })}><${Text} value=${task.queue} /></a>`],
        ['priority', task.priority],
        ['requires', task.requires.length ? html`<${Labels} names=${task.requires} />` : t('none')],
        ['attempts', `${task.attempts} / ${task.max_attempts}`],
        ['crashes', `${task.crashes} / ${task.max_crashes}`],
        ['timeout', duration(task.policy.timeout_sec * 1000)],
        ['format', html`<${Text} value=${task.desired_format} />`],
        ['hints', task.context_hints.length ? html`<${Labels} names=${task.context_hints.slice(0, 20)} />` : null],
        ['created', html`<${When} at=${task.created_at} />`],
        ['run_at', task.run_at && html`<${When} at=${task.run_at} />`],
        ['retry_at', task.retry_at && html`<${When} at=${task.retry_at} />`],
        ['finished_at', task.finished_at && html`<${When} at=${task.finished_at} />`],
        ['key', task.idempotency_key && html`<${Text} value=${task.idempotency_key} length=${60} />`],
    ].filter(([, value]) => value !== null && value !== undefined);
    return html`<${Card} title=${t('task.facts')}><dl class="facts">${rows.map(([name, value]) => html`<dt>${t(`task.${name}`)}</dt><dd>${value}</dd>`)}</dl><//>`;
}

const Block = ({ text, label }) => html`<pre class="block" dir="auto" tabindex="0" aria-label=${label}>${visible(text.slice(0, SHOWN))}${text.length > SHOWN ? '\n…' : ''}</pre>`;

function Result({ result, status }) {
    if (!result) return html`<${Card} title=${t('result')}><${Empty} icon="file-text" title=${OVER.has(status) ? t('result.none') : t('result.wait')} /><//>`;
    return html`<${Card} title=${t('result')} aside=${html`<span class="aside"><${Badge} status=${result.status} /><${Ago} at=${result.completed_at} /></span>`}>
        ${result.error_message && html`<div class="error-text" data-result="error"><${Block} text=${result.error_message} label=${t('result.error')} /></div>`}
        ${result.output !== null && html`<div data-result="output"><${Block} text=${result.output} label=${t('result')} /></div>`}
    <//>`;
}

const saved = artifact => () => act(() => download(artifact));

const Artifacts = ({ rows }) => rows.length > 0 && html`<${Card} title=${t('nav.artifacts')}><ul class="feed">${rows.map(artifact => html`<li key=${artifact.id}>
    <span class="grow"><strong><${Text} value=${artifact.type} length=${60} /></strong> <${Labels} names=${artifact.tags} /> <span class="muted small">${artifact.content === null ? (artifact.url ? t('artifact.stored') : t('artifact.empty')) : bytes(new Blob([artifact.content]).size)} · <${Ago} at=${artifact.created_at} /></span></span>
    <${Button} kind="small" icon="download" onClick=${saved(artifact)}>${t('download')}<//></li>`)}</ul><//>`;

const Attempts = ({ rows }) => html`<${Card} title=${t('attempts')} class="flush">${rows.length
    ? html`<${Table} label=${t('attempts')} head=${['attempt', 'worker', 'started', 'took', 'outcome', 'tokens', 'error'].map(name => t(`attempts.${name}`))}>
        ${rows.map(one => html`<tr key=${one.lease_id}><td class="number">${one.epoch > 0 ? `${one.epoch + 1}.` : ''}${one.attempt}</td><td><${WorkerLink} name=${one.worker_id} /></td><td><${When} at=${one.started_at} /></td>
            <td class="number">${one.ended_at ? duration(one.ended_at - one.started_at) : html`<${Since} at=${one.started_at} />`}</td>
            <td>${one.outcome ? html`<${Badge} status=${one.outcome} />` : html`<${Badge} status=${one.running_at ? 'running' : 'leased'} />`}</td>
            <td class="number">${number(one.metrics?.tokens_used)}</td><td><${Text} value=${one.error_message} length=${80} /></td></tr>`)}<//>`
    : html`<${Empty} icon="activity" title=${t('attempts.none')} />`}<//>`;

const Since = ({ at }) => duration(useNow() - at);

const detailOf = detail => Object.entries(detail ?? {}).map(([name, value]) => `${name}: ${typeof value === 'object' ? JSON.stringify(value) : value}`).join('; ');

const Timeline = ({ rows }) => html`<${Card} title=${t('timeline')}><ol class="timeline">${rows.map(row => html`<li key=${row.ver} class=${`t-edge-${row.to ?? 'none'}`}>
    <div class="timeline-head"><strong>${named('cause', row.action)}</strong>${row.to && row.from !== row.to && html`<${Badge} status=${row.to} />`}<span class="muted small"><${When} at=${row.at} /></span></div>
    <div class="muted small">${t('timeline.by')} <${Text} value=${row.actor} length=${60} />${row.worker_id && html` · ${t('task.worker')}: <${WorkerLink} name=${row.worker_id} />`}${row.detail && html` · <${Text} value=${detailOf(row.detail)} length=${200} />`}</div></li>`)}</ol><//>`;

function View({ data, reload }) {
    const { task, why, events, attempts, artifacts, result } = data;
    const isLive = !OVER.has(task.status);
    return html`
        <${Heading} title=${html`<span class="task-title"><${Badge} status=${task.status} /> <${Text} value=${task.prompt} length=${80} /></span>`} lead=${html`<span class="mono">${task.id}</span> <${Copy} text=${task.id} label=${t('task.copy')} />`}>
            <${Actions} task=${task} reload=${reload} /><//>
        <div class="split">
            <div class="main-column">
                <${Why} task=${task} why=${why} />
                ${isLive && task.progress && html`<${Progress} progress=${task.progress} />`}
                <${Card} title=${t('task.prompt')} aside=${html`<${Copy} text=${task.prompt} />`}><${Block} text=${task.prompt} label=${t('task.prompt')} /><//>
                <${Result} result=${result} status=${task.status} />
                <${Log} id=${task.id} isLive=${isLive} epoch=${task.epoch} hasRun=${attempts.length > 0} />
                <${Attempts} rows=${attempts} />
            </div>
            <div class="side-column">
                ${task.lease_id && isLive && why.data?.expires_at && html`<${Lease} task=${task} why=${why} />`}
                <${Spent} attempts=${attempts} usage=${isLive ? task.usage : null} task=${task} />
                <${Artifacts} rows=${artifacts} />
                <${Facts} task=${task} />
                <${Timeline} rows=${events} />
            </div>
        </div>`;
}

export function TaskPage({ id }) {
    const all = useResource(signal => load(id, signal), [id], { wants: event => !event.task_id || event.task_id === id, every: 4000 });
    const gone = all.data === undefined && all.error?.status === 404;
    return html`<a class="up" href=${to('tasks')}><${Icon} name="chevron-left" /> ${t('nav.tasks')}</a>
        ${gone ? html`<${Heading} title=${t('task.gone')} /><${Card}><${Empty} icon="search" title=${t('task.gone')}><p>${t('task.gone.hint')}</p><//><//>`
        : html`<${Loaded} of=${all}>${data => html`<${View} data=${data} reload=${all.reload} />`}<//>`}`;
}
