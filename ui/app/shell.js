// The frame around the pages: navigation, the state of the connection, language, colours, the key.
import { html, useEffect, useRef, useState, useStore } from './lib.js';
import { key, keyQuestion, signIn } from './api.js';
import { t } from './i18n.js';
import { connection } from './live.js';
import { Button, Dialog, Icon } from './parts.js';
import { to } from './router.js';
import { language, LANGUAGES, theme, THEMES } from './settings.js';
import { store } from './lib.js';

/** The pages: name, icon, and the letter that follows `g`. */
const NAVIGATION = [
    ['overview', 'gauge', 'o'],
    ['tasks', 'list-todo', 't'],
    ['workers', 'server', 'w'],
    ['queues', 'layers', 'q'],
    ['membridge', 'network', 'm'],
    ['artifacts', 'archive', 'a'],
    ['audit', 'scroll-text', 'u'],
];
/** How long the second key of a pair may take. */
const PAIR_MS = 1500;
const CONNECTION_ICONS = { live: 'wifi', connecting: 'refresh-cw', polling: 'clock', offline: 'wifi-off' };

const helpShown = store(false);

const Connection = () => {
    const state = useStore(connection);
    return html`<span class=${`connection c-${state}`} role="status" title=${t(`connection.${state}.hint`)} data-connection=${state}>
        <${Icon} name=${CONNECTION_ICONS[state]} /><span>${t(`connection.${state}`)}</span></span>`;
};

/** Without the key, and without what it let the page show. */
function forgetKey() {
    key.set('');
    location.reload();
}

function Tools() {
    const spoken = useStore(language);
    const chosen = useStore(theme);
    const known = useStore(key);
    const next = (list, value) => list[(list.indexOf(value) + 1) % list.length];
    const icons = { system: 'monitor', light: 'sun', dark: 'moon' };
    return html`<div class="tools">
        <${Connection} />
        <div class="tool-row">
            <button type="button" class="tool" onClick=${() => language.set(next(LANGUAGES, spoken))} title=${t('tool.language')} aria-label=${t('tool.language')} data-tool="language"><${Icon} name="languages" /><span>${spoken.toUpperCase()}</span></button>
            <button type="button" class="tool" onClick=${() => theme.set(next(THEMES, chosen))} title=${t(`theme.${chosen}`)} aria-label=${t(`theme.${chosen}`)} data-tool="theme"><${Icon} name=${icons[chosen]} /></button>
            <button type="button" class="tool" onClick=${() => helpShown.set(true)} title=${t('tool.help')} aria-label=${t('tool.help')} data-tool="help"><${Icon} name="keyboard" /></button>
            ${known
                ? html`<button type="button" class="tool" onClick=${forgetKey} title=${t('tool.forget')} aria-label=${t('tool.forget')} data-tool="forget"><${Icon} name="log-out" /></button>`
                : html`<button type="button" class="tool" onClick=${() => signIn()} title=${t('key.enter')} aria-label=${t('key.enter')} data-tool="key"><${Icon} name="key-round" /></button>`}
        </div>
    </div>`;
}

const Logo = () => html`<a class="brand" href=${to('overview')} aria-label="BLOOM Runtime"><svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
    <g class="petals"><circle cx="16" cy="8" r="5.6" /><circle cx="23.6" cy="13.5" r="5.6" /><circle cx="20.7" cy="22.5" r="5.6" /><circle cx="11.3" cy="22.5" r="5.6" /><circle cx="8.4" cy="13.5" r="5.6" /></g>
    <circle class="heart" cx="16" cy="16" r="4.6" /></svg><span>BLOOM<small>Runtime</small></span></a>`;

export function Shell({ page, children }) {
    const skip = event => {
        event.preventDefault();
        document.querySelector('main h1')?.focus();
    };
    const help = useStore(helpShown);
    return html`
        <a class="skip" href="#main" onClick=${skip}>${t('skip')}</a>
        <div class="frame">
            <aside class="side">
                <${Logo} />
                <nav aria-label=${t('nav')}><ul>
                    ${NAVIGATION.map(([name, icon]) => html`<li key=${name}><a href=${to(name)} aria-current=${page === name ? 'page' : undefined}><${Icon} name=${icon} size=${18} /><span>${t(`nav.${name}`)}</span></a></li>`)}
                </ul></nav>
                <${Tools} />
            </aside>
            <main id="main">${children}</main>
        </div>
        ${help && html`<${Help} />`}`;
}

const Help = () => html`<${Dialog} title=${t('help.title')} onClose=${() => helpShown.set(false)}>
    <dl class="keys">
        ${NAVIGATION.map(([name, , letter]) => html`<div><dt><kbd>g</kbd> <kbd>${letter}</kbd></dt><dd>${t(`nav.${name}`)}</dd></div>`)}
        <div><dt><kbd>n</kbd></dt><dd>${t('tasks.new')}</dd></div>
        <div><dt><kbd>/</kbd></dt><dd>${t('help.search')}</dd></div>
        <div><dt><kbd>?</kbd></dt><dd>${t('help.this')}</dd></div>
        <div><dt><kbd>Esc</kbd></dt><dd>${t('close')}</dd></div>
    </dl>
<//>`;

/** The question for the key, where the service wants one. */
export function KeyDialog() {
    const asked = useStore(keyQuestion);
    const input = useRef(null);
    const [shown, setShown] = useState(false);
    useEffect(() => setShown(false), [asked]);
    if (!asked) return null;
    const submit = event => {
        event.preventDefault();
        asked.answer(input.current.value.trim());
    };
    return html`<${Dialog} title=${t('key.title')} onClose=${() => asked.answer('')} class="key-dialog" key="key">
        <form onSubmit=${submit}>
            <p class="dialog-text">${t('key.text')}</p>
            ${asked.wrong && html`<p class="field-error" role="alert" id="key-wrong">${t('key.wrong')}</p>`}
            <div class="field"><label for="key-input">${t('key.label')}</label>
                <div class="joined"><input id="key-input" ref=${input} type=${shown ? 'text' : 'password'} autocomplete="off" spellcheck="false" autofocus required aria-describedby=${asked.wrong ? 'key-wrong' : undefined} />
                <${Button} onClick=${() => setShown(!shown)} aria-pressed=${shown}>${shown ? t('key.hide') : t('key.show')}<//></div>
                <p class="hint">${t('key.hint')}</p></div>
            <footer class="dialog-foot"><${Button} onClick=${() => asked.answer('')}>${t('key.later')}<//><${Button} type="submit" kind="primary" icon="key-round">${t('key.use')}<//></footer>
        </form>
    <//>`;
}

const isTyping = target => target.closest?.('input, textarea, select, [contenteditable]');

/** Keys that lead somewhere, while nothing is being typed and no dialog is open. */
export function startShortcuts(go) {
    let first = 0;
    addEventListener('keydown', event => {
        if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || document.querySelector('dialog[open]')) return;
        const isSecond = Date.now() - first < PAIR_MS;
        first = 0;
        const page = isSecond && NAVIGATION.find(([, , letter]) => letter === event.key);
        if (page) go(to(page[0]));
        else if (event.key === 'g') first = Date.now();
        else if (event.key === 'n') go(to('tasks', 'new'));
        else if (event.key === '?') helpShown.set(true);
        else if (event.key === '/') {
            const search = document.querySelector('[data-search]');
            if (!search) go(to('tasks'));
            search?.focus();
        } else return;
        event.preventDefault();
    });
}
