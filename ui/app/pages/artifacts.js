// What tasks left behind, newest first.
import { html, useState } from '../lib.js';
import { download, page, RUNTIME } from '../api.js';
import { bytes, DASH, visible } from '../format.js';
import { t } from '../i18n.js';
import { Ago, Button, Card, Dialog, Empty, Heading, Labels, Loaded, Pager, Table, TaskLink, Text } from '../parts.js';
import { useResource } from '../resource.js';
import { go, to } from '../router.js';
import { act } from '../talk.js';

const PAGE = 25;
/** How much of a content is drawn. */
const SHOWN = 100000;

const Preview = ({ artifact, close }) => html`<${Dialog} title=${visible(artifact.type)} onClose=${close} class="wide">
    <pre class="block" dir="auto" tabindex="0">${visible(artifact.content.slice(0, SHOWN))}${artifact.content.length > SHOWN ? '\n…' : ''}</pre>
    <footer class="dialog-foot"><${Button} onClick=${close}>${t('close')}<//></footer><//>`;

const Row = ({ artifact, show }) => html`<tr>
    <td><strong><${Text} value=${artifact.type} length=${48} /></strong></td>
    <td><${TaskLink} id=${artifact.task_id} /></td>
    <td class="prompt-cell">${artifact.content === null ? html`<span class="muted">${artifact.url ? html`<${Text} value=${artifact.url} length=${70} />` : t('artifact.empty')}</span>` : html`<button type="button" class="link" onClick=${() => show(artifact)}><${Text} value=${artifact.content} length=${90} /></button>`}</td>
    <td><${Labels} names=${artifact.tags} /></td>
    <td class="number">${artifact.content === null ? DASH : bytes(new Blob([artifact.content]).size)}</td>
    <td class="when"><${Ago} at=${artifact.created_at} /></td>
    <td><${Button} kind="small" icon="download" onClick=${() => act(() => download(artifact))} aria-label=${t('artifact.download', { id: artifact.id })}>${t('download')}<//></td></tr>`;

export function Artifacts({ query }) {
    const [shown, show] = useState(null);
    // Contents come along, and such lists are counted against a budget of their own: no haste.
    const all = useResource(signal => page(`${RUNTIME}/artifacts`, { query: { ...query, limit: PAGE }, signal }), [JSON.stringify(query)], { wants: event => event.action === 'completed' && !query.cursor, every: 60000 });
    const head = ['type', 'task', 'content', 'tags', 'size', 'created'].map(name => t(`artifact.${name}`));
    return html`
        <${Heading} title=${t('nav.artifacts')} lead=${t('artifacts.lead')} />
        <${Card} class="flush"><${Loaded} of=${all}>${({ items, next }) => items.length || query.cursor
            ? html`<${Table} label=${t('nav.artifacts')} head=${[...head, html`<span class="hidden">${t('actions')}</span>`]}>${items.map(artifact => html`<${Row} key=${artifact.id} artifact=${artifact} show=${show} />`)}<//>
                <div class="table-foot"><span></span><${Pager} cursor=${query.cursor} next=${next} onGo=${cursor => go(to('artifacts', '', { ...query, cursor }))} /></div>`
            : html`<${Empty} icon="archive" title=${t('artifacts.empty')}><p>${t('artifacts.empty.hint')}</p><//>`}<//><//>
        ${shown && html`<${Preview} artifact=${shown} close=${() => show(null)} />`}`;
}
