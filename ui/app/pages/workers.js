// Who works: how much of each is in use, by what, and since when it was heard of.
import { html } from '../lib.js';
import { get, page, part, post, remove, RUNTIME } from '../api.js';
import { number, visible } from '../format.js';
import { t } from '../i18n.js';
import { Ago, Badge, Bar, Button, Card, Command, Empty, Heading, Icon, Labels, Loaded, TaskLink, Text, When } from '../parts.js';
import { useResource } from '../resource.js';
import { to } from '../router.js';
import { act, confirm } from '../talk.js';

/** How many of a worker's tasks are listed; the rest is behind a link. */
const TASKS_SHOWN = 8;

async function load(signal) {
    const [workers, leases] = await Promise.all([
        get(`${RUNTIME}/workers`, { signal }),
        page(`${RUNTIME}/leases`, { query: { status: 'active', limit: 1000 }, signal }),
    ]);
    return { workers, leases: leases.items };
}

function Actions({ worker, reload }) {
    const at = `${RUNTIME}/workers/${part(worker.id)}`;
    const name = visible(worker.id);
    const drain = () => act(() => post(`${at}/drain`, {}), t('worker.drain.done', { name })).then(reload);
    const resume = () => act(() => post(`${at}/resume`, {}), t('worker.resume.done', { name })).then(reload);
    const forget = async () => {
        const sure = await confirm({ title: t('worker.remove'), text: t('worker.remove.ask', { name, n: worker.active_leases }), action: t('worker.remove'), danger: true });
        if (sure) await act(() => remove(at), t('worker.remove.done', { name })).then(reload);
    };
    return html`<div class="worker-actions">
        ${worker.draining ? html`<${Button} kind="small" icon="circle-play" onClick=${resume} data-act="resume">${t('resume')}<//>` : html`<${Button} kind="small" icon="circle-pause" onClick=${drain} data-act="drain">${t('worker.drain')}<//>`}
        <${Button} kind="small danger-quiet" icon="trash-2" onClick=${forget} data-act="remove">${t('worker.remove')}<//></div>`;
}

/** Tasks by the session that has them: a process of the worker. */
function Sessions({ leases, worker }) {
    const sessions = Map.groupBy(leases, lease => lease.session_id ?? '');
    const shown = leases.slice(0, TASKS_SHOWN);
    return html`<div class="sessions"><p class="small muted">${t('worker.sessions', { n: sessions.size })}</p>
        <ul class="feed tight">${shown.map(lease => html`<li key=${lease.id}><${Badge} status="active" text=${t('worker.attempt', { n: lease.attempt })} /><span class="grow"><${TaskLink} id=${lease.task_id} /> <span class="muted"><${Text} value=${lease.context_id} length=${28} /></span></span><span class="muted small" title=${lease.session_id ?? ''}><${Ago} at=${lease.started_at} /></span></li>`)}</ul>
        ${leases.length > shown.length && html`<a href=${to('tasks', '', { worker: worker.id, status: 'running' })}>${t('worker.more', { n: leases.length - shown.length })}</a>`}</div>`;
}

function Worker({ worker, leases, reload, chosen }) {
    const { max_concurrency: room, labels, claude_cli: able } = worker.capabilities;
    const about = [worker.agent_version !== 'unknown' && worker.agent_version, worker.os_info, ...worker.ip_addrs].filter(Boolean).join(' · ');
    const tone = worker.active_leases >= room ? 'failed' : 'completed';
    return html`<${Card} class=${`worker ${chosen ? 'chosen' : ''}`} data-worker=${worker.id}>
        <header class="worker-head"><div class="grow"><h2><${Text} value=${worker.id} length=${60} /></h2><p class="muted small"><${Text} value=${about} length=${90} /></p></div>
            <span class="badges"><${Badge} status=${worker.status} />${worker.draining && html`<${Badge} status="draining" />`}${worker.credential_exhausted_until && html`<${Badge} status="exhausted" />`}</span></header>
        <div class="capacity"><${Bar} value=${worker.active_leases} max=${room} tone=${tone} label=${t('worker.capacity')} /><span>${t('worker.used', { used: number(worker.active_leases), of: number(room) })}</span></div>
        <${Labels} names=${labels} />
        ${!able && html`<p class="hint"><${Icon} name="triangle-alert" size=${14} /> ${t('worker.unable')}</p>`}
        ${worker.credential_exhausted_until && html`<p class="hint"><${Icon} name="clock" size=${14} /> ${t('worker.exhausted')} <${When} at=${worker.credential_exhausted_until} /></p>`}
        ${leases.length > 0 ? html`<${Sessions} leases=${leases} worker=${worker} />` : html`<p class="muted small">${t('worker.idle')}</p>`}
        <footer class="worker-foot"><span class="muted small">${t('worker.beat')} <${Ago} at=${worker.last_heartbeat} /></span><${Actions} worker=${worker} reload=${reload} /></footer>
    <//>`;
}

export function Workers({ id }) {
    const all = useResource(load, []);
    return html`
        <${Heading} title=${t('nav.workers')} lead=${all.data ? t('workers.lead', { n: all.data.workers.filter(worker => worker.status === 'online').length, of: all.data.workers.length }) : ' '} />
        <${Loaded} of=${all}>${({ workers, leases }) => workers.length
            ? html`<div class="worker-grid">${workers.toSorted((a, b) => (b.id === id) - (a.id === id) || (b.status === 'online') - (a.status === 'online') || a.id.localeCompare(b.id)).map(worker => html`<${Worker} key=${worker.id} worker=${worker} leases=${leases.filter(lease => lease.worker_id === worker.id)} reload=${all.reload} chosen=${worker.id === id} />`)}</div>`
            : html`<${Card}><${Empty} icon="server" title=${t('workers.empty')}><p>${t('workers.empty.hint')}</p><${Command} text=${`bloom worker --name first --server ${location.origin} --exec 'tr a-z A-Z'`} /><//><//>`}<//>`;
}
