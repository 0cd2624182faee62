// Queues: how much waits in each, how long already, and whether they hand out.
import { html, useNow } from '../lib.js';
import { get, part, post, RUNTIME } from '../api.js';
import { duration, number, visible } from '../format.js';
import { t } from '../i18n.js';
import { Badge, Button, Card, Empty, Heading, Loaded, Table, Text } from '../parts.js';
import { useResource } from '../resource.js';
import { to } from '../router.js';
import { act, confirm } from '../talk.js';

const COUNTED = ['queued', 'running', 'failed', 'dead'];

function Actions({ queue, reload }) {
    const at = `${RUNTIME}/queues/${part(queue.name)}`;
    const name = visible(queue.name);
    const pause = () => act(() => post(`${at}/pause`, {}), t('queue.pause.done', { name })).then(reload);
    const resume = () => act(() => post(`${at}/resume`, {}), t('queue.resume.done', { name })).then(reload);
    const dead = queue.tasks.dead ?? 0;
    const redrive = async () => {
        const sure = await confirm({ title: t('queue.redrive'), text: t('queue.redrive.ask', { name, n: Math.min(dead, 1000) }), action: t('queue.redrive') });
        if (sure) await act(() => post(`${at}/redrive`, { limit: 1000 }), answer => t('queue.redrive.done', { n: answer.requeued.length })).then(reload);
    };
    return html`<div class="row-actions">
        ${dead > 0 && html`<${Button} kind="small" icon="rotate-ccw" onClick=${redrive} data-act="redrive">${t('queue.redrive')}<//>`}
        ${queue.paused ? html`<${Button} kind="small primary" icon="circle-play" onClick=${resume} data-act="resume">${t('resume')}<//>` : html`<${Button} kind="small" icon="circle-pause" onClick=${pause} data-act="pause">${t('queue.pause')}<//>`}</div>`;
}

function Row({ queue, reload, longest }) {
    const present = useNow();
    const of = status => (status === 'running' ? (queue.tasks.running ?? 0) + (queue.tasks.leased ?? 0) : queue.tasks[status] ?? 0);
    const age = queue.oldest_ready_at ? present - queue.oldest_ready_at : null;
    return html`<tr data-queue=${queue.name}>
        <td><a href=${to('tasks', '', { queue: queue.name })}><strong><${Text} value=${queue.name} length=${48} /></strong></a>${queue.serial_contexts && html` <span class="label">${t('queue.serial')}</span>`}</td>
        <td>${queue.paused ? html`<${Badge} status="paused" />` : html`<${Badge} status="online" text=${t('queue.open')} />`}</td>
        <td class="number depth"><span class="depth-bar" style=${{ width: `${longest ? (100 * of('queued')) / longest : 0}%` }}></span><a href=${to('tasks', '', { queue: queue.name, status: 'queued' })}>${number(of('queued'))}</a></td>
        <td class=${`number ${age > 600000 ? 'soon' : ''}`}>${age === null ? html`<span class="muted">–</span>` : duration(age)}</td>
        ${COUNTED.slice(1).map(status => html`<td key=${status} class="number"><a href=${to('tasks', '', { queue: queue.name, status })}>${number(of(status))}</a>${status === 'running' && queue.max_running !== null ? html` <span class="muted">/ ${number(queue.max_running)}</span>` : ''}</td>`)}
        <td><${Actions} queue=${queue} reload=${reload} /></td></tr>`;
}

export function Queues() {
    const all = useResource(signal => get(`${RUNTIME}/queues`, { signal }), []);
    const head = ['name', 'state', 'queued', 'age', 'running', 'failed', 'dead'].map(name => t(`queue.${name}`));
    return html`
        <${Heading} title=${t('nav.queues')} lead=${t('queues.lead')} />
        <${Card} class="flush"><${Loaded} of=${all}>${queues => queues.length
            ? html`<${Table} label=${t('nav.queues')} head=${[...head, html`<span class="hidden">${t('actions')}</span>`]}>${queues.map(queue => html`<${Row} key=${queue.name} queue=${queue} reload=${all.reload} longest=${Math.max(...queues.map(one => one.tasks.queued ?? 0))} />`)}<//>`
            : html`<${Empty} icon="layers" title=${t('queues.empty')}><p>${t('queues.empty.hint')}</p><//>`}<//><//>`;
}
