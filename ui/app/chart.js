// Charts over time, drawn by uPlot (a global of its own script). Colours come from the style sheet.
import { html, useEffect, useRef, useStore } from './lib.js';
import { language, theme } from './settings.js';
import { t } from './i18n.js';
import { dateTime } from './format.js';

const HEIGHT = 210;

/** The value of a custom property, as a colour that a canvas understands. */
function colour(element, name) {
    element.style.color = `var(${name})`;
    const value = getComputedStyle(element).color;
    element.style.color = '';
    return value;
}

function options(element, width, series, format) {
    const faint = colour(element, '--muted');
    const grid = { stroke: colour(element, '--border'), width: 1 };
    const axis = { stroke: faint, grid, ticks: { show: false }, font: '11px system-ui, sans-serif' };
    const when = new Intl.DateTimeFormat(language.get(), { hour: '2-digit', minute: '2-digit' });
    return {
        width,
        height: HEIGHT,
        cursor: { drag: { x: false, y: false }, points: { size: 7 } },
        legend: { live: true },
        scales: { y: { range: (_, low, high) => [0, Math.max(high * 1.1, 1)] } },
        axes: [
            { ...axis, values: (_, splits) => splits.map(at => when.format(at * 1000)) },
            { ...axis, size: 56, values: (_, splits) => splits.map(format) },
        ],
        series: [
            { label: t('chart.time'), value: (_, at) => (at === null ? '–' : dateTime(at * 1000)) },
            ...series.map(({ label, tone, fill, bars }) => {
                const stroke = colour(element, tone);
                return {
                    label,
                    stroke,
                    width: 2,
                    fill: fill ? stroke.replace(/^rgb\((.*)\)$/, 'rgba($1, 0.16)') : undefined,
                    paths: bars ? globalThis.uPlot.paths.bars({ size: [0.7, 24] }) : undefined,
                    points: { show: false },
                    spanGaps: false,
                    value: (_, value) => (value === null ? '–' : format(value)),
                };
            }),
        ],
    };
}

/**
 * `points` are [seconds, …values]; `series` are {label, tone (a custom property), fill, bars}. The
 * same numbers stand in a table for those who do not see the picture.
 */
export function Chart({ title, summary, data, series, format }) {
    const box = useRef(null);
    const chosen = useStore(theme);
    const spoken = useStore(language);
    const names = series.map(one => one.label).join();

    useEffect(() => {
        const element = box.current;
        let chart = null;
        const draw = () => {
            chart?.destroy();
            chart = new globalThis.uPlot(options(element, element.clientWidth, series, format), data, element);
            element.chart = chart;
        };
        draw();
        const seen = new ResizeObserver(() => {
            if (chart.width !== element.clientWidth) chart.setSize({ width: element.clientWidth, height: HEIGHT });
        });
        seen.observe(element);
        const scheme = matchMedia('(prefers-color-scheme: dark)');
        scheme.addEventListener('change', draw);
        return () => {
            seen.disconnect();
            scheme.removeEventListener('change', draw);
            chart.destroy();
            element.chart = null;
        };
    }, [chosen, spoken, names]);

    useEffect(() => box.current.chart?.setData(data), [data]);

    return html`<figure class="chart"><figcaption>${title}<span class="muted"> ${summary}</span></figcaption>
        <div ref=${box} class="chart-box" role="img" aria-label=${`${title}: ${summary}`}></div></figure>`;
}
