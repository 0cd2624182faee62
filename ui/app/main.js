// The page: where to go, what is shown there, and how the service is doing.
import { html, render, useEffect, useRef, useStore } from './lib.js';
import { key } from './api.js';
import { t } from './i18n.js';
import { follow, restart } from './live.js';
import { Empty, ErrorBox } from './parts.js';
import { go, route, to } from './router.js';
import { language, theme } from './settings.js';
import { KeyDialog, Shell, startShortcuts } from './shell.js';
import { Talk } from './talk.js';
import { useErrorBoundary } from '../vendor/hooks.js';
import { Artifacts } from './pages/artifacts.js';
import { Audit } from './pages/audit.js';
import { Membridge } from './pages/membridge.js';
import { Overview } from './pages/overview.js';
import { Queues } from './pages/queues.js';
import { Submit } from './pages/submit.js';
import { TaskPage } from './pages/task.js';
import { Tasks } from './pages/tasks.js';
import { Workers } from './pages/workers.js';

const PAGES = { overview: Overview, tasks: Tasks, workers: Workers, queues: Queues, membridge: Membridge, artifacts: Artifacts, audit: Audit };

function pageOf({ page, id, query }) {
    if (page === 'tasks' && id === 'new') return html`<${Submit} query=${query} key="new" />`;
    if (page === 'tasks' && id) return html`<${TaskPage} id=${id} key=${id} />`;
    const Page = Object.hasOwn(PAGES, page) ? PAGES[page] : null;
    if (!Page) return html`<${Empty} title=${t('lost')}><a href=${to('overview')}>${t('nav.overview')}</a><//>`;
    return html`<${Page} id=${id} query=${query} key=${page} />`;
}

/** A page that breaks says so, and the others go on. */
function Guarded({ where }) {
    const [broken, reset] = useErrorBoundary();
    if (broken) return html`<${ErrorBox} error=${broken} retry=${reset} />`;
    return pageOf(where);
}

function App() {
    const where = useStore(route);
    useStore(language);
    useStore(theme);
    useEffect(() => follow(where.page === 'tasks' && where.id !== 'new' ? where.id : ''), [where.page, where.id]);
    const isFirst = useRef(true);
    useEffect(() => {
        const heading = document.querySelector('main h1');
        // Where the page has just been loaded, the first Tab leads to the skip link.
        if (!isFirst.current) heading?.focus({ preventScroll: true });
        isFirst.current = false;
        document.title = `${heading?.textContent ?? ''} · BLOOM Runtime`;
        scrollTo(0, 0);
    }, [where.page, where.id]);
    return html`
        <${Shell} page=${where.page}><${Guarded} where=${where} key=${`${where.page}/${where.id}`} /><//>
        <${KeyDialog} />
        <${Talk} />`;
}

key.watch(() => restart());
startShortcuts(go);
render(html`<${App} />`, document.getElementById('app'));
