// Українська. Об'єкти — це форми множини, їх обирає {n}.
const action = {
    submitted: 'Подано', leased: 'Видано', running: 'Розпочато', completed: 'Завершено', failed: 'Невдача', dead: 'Остаточна невдача',
    cancelled: 'Скасовано', requeued: 'Повернуто в чергу', expired: 'Строк видачі минув', released: 'Віддано назад', removed: 'Виконавця вилучено',
    due: 'Час настав', turn: 'Настала черга', cancel_requested: 'Запит на скасування', cancel_delivered: 'Скасування передано', stopped: 'Зупинено',
    prioritized: 'Змінено пріоритет', delivered: 'Доставлено',
};
const actions = {
    task_created: action.submitted, task_leased: action.leased, task_started: action.running, task_completed: action.completed,
    task_failed: action.failed, task_dead: action.dead, task_cancelled: action.cancelled, task_requeued: action.requeued,
    lease_expired: action.expired, lease_released: action.released, lease_removed: 'Видачу закрито разом з виконавцем', task_due: action.due,
    task_turn: action.turn, task_cancel_requested: action.cancel_requested, task_cancel_delivered: action.cancel_delivered,
    webhook_created: 'Вебгук створено', webhook_paused: 'Вебгук призупинено', webhook_removed: 'Вебгук вилучено', delivery_requeued: 'Доставку повторено', task_prioritized: 'Змінено пріоритет',
    worker_registered: 'Виконавця зареєстровано', worker_updated: 'Виконавця змінено', worker_removed: 'Виконавця вилучено',
    queue_paused: 'Чергу призупинено', queue_resumed: 'Чергу поновлено', queue_configured: 'Чергу змінено', queue_created: 'Чергу створено',
    key_created: 'Ключ створено', key_revoked: 'Ключ відкликано', config_updated: 'Налаштування змінено', setting_changed: 'Налаштування змінено',
    leadership_promote: 'Обрано головний вузол', credential_exhausted: 'Ліміт вичерпано', credential_cleared: 'Ліміт скинуто',
};
const group = (name, texts) => Object.fromEntries(Object.entries(texts).map(([key, text]) => [`${name}.${key}`, text]));

export default {
    ...group('cause', action),
    ...group('action', { ...action, ...actions }),
    ...group('entity', { webhook: 'вебгук', llm_task: 'завдання', lease: 'видача', worker: 'виконавець', queue: 'черга', key: 'ключ', setting: 'налаштування', runtime_config: 'налаштування', membridge_project: 'проєкт', credential: 'обліковий запис', runtime: 'служба' }),
    ...group('status', {
        queued: 'У черзі', leased: 'Видано', running: 'Виконується', completed: 'Завершено', failed: 'Невдача', dead: 'Не вдалося', cancelled: 'Скасовано',
        online: 'На зв’язку', offline: 'Немає зв’язку', syncing: 'Синхронізація', error: 'Помилка', unknown: 'Невідомо', draining: 'Не бере нового', paused: 'Призупинено',
        active: 'Чинна', primary: 'Головний', secondary: 'Запасний', success: 'Успіх', exhausted: 'Ліміт вичерпано', released: 'Віддано назад', expired: 'Строк минув', removed: 'Виконавця вилучено',
    }),
    ...group('warning', {
        no_workers: 'Ніхто не працює.', transaction_held: 'Транзакція довго відкрита.', snapshot_held: 'Утримується старий знімок.', queue_paused: 'Чергу призупинено.', credential_exhausted: 'Ліміт вичерпано.',
        webhook_failing: 'Вебгук не працює.', waiting_long: 'Довге очікування.', listen_lost: 'Немає сповіщень.', membridge_failing: 'Membridge не відповідає.',
    }),
    ...group('why', {
        deferred: 'Чекає на свій час', retry_wait: 'Чекає на повторну спробу', context_busy: 'Чекає на свою чергу в контексті', queue_paused: 'Чергу призупинено',
        queue_full: 'Черга заповнена', no_worker: 'Жоден виконавець не на зв’язку', no_label: 'Немає виконавця з такими мітками', workers_full: 'Усі відповідні виконавці зайняті',
        credential_exhausted: 'Ліміт використання вичерпано', pinned: 'Залишено для виконавця цього контексту', next: 'Наступне', leased: 'У виконавця', running: 'Виконується', cancelling: 'Зупиняється',
        lease_expired: 'Строк видачі минув', completed: 'Завершено', dead: 'Не вдалося', cancelled: 'Скасовано',
        waits: 'Чому чекає', with: 'Де воно зараз', over: 'Чим скінчилося', goes: 'Дісталося б виконавцю', 'goes.none': 'зараз нікому',
        workers_online: 'Виконавців на зв’язку', workers_matching: 'підходять', workers_free: 'мають місце', ahead: 'Завдань попереду',
    }),

    all: 'Усі', none: 'Немає', back: 'Назад', save: 'Зберегти', close: 'Закрити', copy: 'Копіювати', again: 'Спробувати ще раз', resume: 'Поновити', download: 'Завантажити',
    actions: 'Дії', loading: 'Завантаження', lost: 'Такої сторінки немає', skip: 'Перейти до вмісту', nav: 'Сторінки', pager: 'Сторінки списку',
    'pager.newest': 'Найновіші', 'pager.older': 'Давніші',
    ...group('nav', { overview: 'Огляд', tasks: 'Завдання', workers: 'Виконавці', queues: 'Черги', membridge: 'Membridge', artifacts: 'Артефакти', audit: 'Журнал' }),
    ...group('tool', { language: 'In English', help: 'Клавіші', forget: 'Забути ключ API' }),
    ...group('theme', { system: 'Кольори: як у системі', light: 'Кольори: світлі', dark: 'Кольори: темні' }),
    ...group('connection', {
        live: 'Наживо', connecting: 'З’єднання', polling: 'Опитування', offline: 'Немає зв’язку',
        'live.hint': 'Зміни видно одразу', 'connecting.hint': 'Потік подій відкривається; дані запитуються кожні кілька секунд',
        'polling.hint': 'Потоку подій зараз немає; дані запитуються кожні кілька секунд', 'offline.hint': 'Служба не відповідає; спроби тривають',
    }),
    ...group('help', { title: 'Клавіші', search: 'Пошук', this: 'Цей список' }),
    ...group('key', {
        title: 'Ключ API', text: 'Ця служба вимагає ключа.', label: 'Ключ API', hint: 'Зберігається лише в цій вкладці, доки її не закрито.', wrong: 'Цей ключ не прийнято.',
        use: 'Увійти з ключем', later: 'Не зараз', enter: 'Ввести ключ API', show: 'Показати', hide: 'Сховати',
    }),
    ...group('error', {
        title: 'Не вийшло', network: 'Служба недоступна.', key: 'Потрібен ключ API.', rights: 'Цей ключ не дає такого права.', away: 'Служба зараз не може цього ({said}).',
        page: 'На цій сторінці помилка: {said}', status: 'Служба відповіла {status}.', request: 'Запит {id}', stale: 'Показано стан на {when}.',
    }),

    ...group('overview', {
        lead: 'Що пройшло, що чекає і хто працює', hour: 'Остання година', day: 'Остання доба', window: 'Проміжок', warnings: 'Попередження',
        success: 'Частка успіху', 'success.note': 'серед завершених завдань', 'success.none': 'ще нічого не завершено', workers: 'Виконавці на зв’язку', 'workers.note': 'з усіх відомих',
        leases: 'Чинні видачі', 'leases.note': { one: '{n} виконується', few: '{n} виконуються', many: '{n} виконуються', other: '{n} виконуються' }, waiting: 'Чекають', 'waiting.note': 'завдань у черзі', oldest: 'Чекає найдовше', 'oldest.none': 'ніхто не чекає',
        statuses: 'Завдання за станом', recent: 'Останнє', depth: { one: '{n} чекає', few: '{n} чекають', many: '{n} чекають', other: '{n} чекають' }, empty: 'Поки нічого не сталося', 'empty.hint': 'Подайте завдання і запустіть виконавця, який його візьме:',
    }),
    ...group('chart', {
        time: 'Час', flow: 'Пропускна здатність', 'flow.sum': 'подано {submitted}, завершено {completed}, не вдалося {failed}', submitted: 'Подано', completed: 'Завершено', failed: 'Невдачі', dead: 'Остаточні',
        depth: 'Глибина черги', 'depth.sum': 'зараз {n}', wait: 'Очікування видачі', 'wait.sum': 'половина за {p50}, 95 % за {p95}', p50: 'Половина', p95: '95 %',
    }),
    ...group('tasks', {
        new: 'Нове завдання', lead: { one: 'Усього {shown} завдання', few: 'Усього {shown} завдання', many: 'Усього {shown} завдань', other: 'Усього {shown} завдань' }, search: 'Пошук у запитах', filters: 'Більше фільтрів', choose: 'Обрати завдання {id}', 'choose.all': 'Обрати всі на сторінці', 'choose.none': 'Зняти вибір',
        chosen: { one: 'Обрано {n}', few: 'Обрано {n}', many: 'Обрано {n}', other: 'Обрано {n}' }, bulk: 'Дії з обраними', 'bulk.done': { one: 'Зроблено для {n} завдання', few: 'Зроблено для {n} завдань', many: 'Зроблено для {n} завдань', other: 'Зроблено для {n} завдань' }, 'bulk.failed': { one: 'Не вийшло для {n} завдання: {said}', few: 'Не вийшло для {n} завдань: {said}', many: 'Не вийшло для {n} завдань: {said}', other: 'Не вийшло для {n} завдань: {said}' },
        'cancel.ask': { one: 'Скасувати {n} завдання? Те, що виконується, буде зупинено.', few: 'Скасувати {n} завдання? Те, що виконується, буде зупинено.', many: 'Скасувати {n} завдань? Те, що виконується, буде зупинено.', other: 'Скасувати {n} завдань? Те, що виконується, буде зупинено.' },
        shown: { one: '{n} завдання', few: '{n} завдання', many: '{n} завдань', other: '{n} завдань' }, all: 'Показати всі завдання',
        empty: 'Завдань ще немає', 'empty.hint': 'Створіть перше кнопкою «Нове завдання» або з командного рядка:', nothing: 'Нічого не знайдено', 'nothing.hint': 'Послабте фільтри або погляньте далі в минуле.',
    }),
    ...group('submit', {
        lead: 'Його візьме найближчий виконавець, який підходить', prompt: 'Запит', context_id: 'Контекст', 'context_id.hint': 'Що належить разом, наприклад shop/7', agent_slug: 'Агент', 'agent_slug.hint': 'Хто має це зробити, наприклад writer',
        more: 'Більше налаштувань', queue: 'Черга', priority: 'Пріоритет', 'priority.hint': '0 — перше, 9 — останнє', requires: 'Мітки', 'requires.hint': 'Які повинен мати виконавець, через кому', desired_format: 'Формат відповіді',
        timeout_sec: 'Обмеження часу, секунд', budget: 'Бюджет', max_attempts: 'Спроби', run_at: 'Не раніше', 'run_at.hint': 'У вашому часовому поясі', serial: 'Завдання контексту по одному, за порядком', send: 'Подати', done: 'Подано',
    }),
    ...group('task', {
        status: 'Стан', prompt: 'Запит', agent: 'Агент', queue: 'Черга', worker: 'Виконавець', attempts: 'Спроби', created: 'Створено', context_id: 'Контекст', label: 'Мітка', priority: 'Пріоритет', requires: 'Мітки',
        crashes: 'Збої', timeout: 'Обмеження часу', format: 'Формат відповіді', hints: 'Підказки', run_at: 'Не раніше', retry_at: 'Наступна спроба', finished_at: 'Скінчилося', key: 'Ключ ідемпотентності', facts: 'Подробиці', copy: 'Копіювати ідентифікатор',
        again: 'Схоже завдання', cancel: 'Скасувати', 'cancel.running': 'Завдання у виконавця. Він отримає наказ зупинитися.', 'cancel.waiting': 'Воно не виконуватиметься.', 'cancel.why': 'Причина (необов’язково)', 'cancel.done': 'Скасовано або от-от буде', stopping: 'Зупиняється',
        requeue: 'Повернути в чергу', 'requeue.done': 'Знову в черзі', 'priority.ask': '0 — перше, 9 — останнє.', 'priority.done': 'Пріоритет змінено', gone: 'Такого завдання немає', 'gone.hint': 'Можливо, його вилучено після строку зберігання, або адреса неповна.',
    }),
    lease: 'Видача', ...group('lease', { since: 'Від', ends: 'Спливає', in: 'через {time}', over: 'строк минув', hint: 'Виконавець подовжує її, доки працює.' }),
    progress: 'Перебіг',
    spent: 'Витрачено досі', ...group('spent', { cost: 'Вартість', budget: 'з {of}', tokens: 'Токени', inout: 'прочитано {input}, написано {output}', time: 'Час роботи', none: 'Поки нічого: завдання ще ні в кого не було.' }),
    result: 'Результат', ...group('result', { none: 'Результату не залишено', wait: 'Тут буде результат', error: 'Помилка' }),
    log: 'Вивід', ...group('log', { attempt: '── спроба {n} ──', live: 'Наживо', ended: 'Скінчився', wait: 'Поки нічого не виведено' }),
    attempts: 'Спроби', ...group('attempts', { none: 'Спроб ще не було', attempt: '№', worker: 'Виконавець', started: 'Початок', took: 'Тривала', outcome: 'Підсумок', tokens: 'Токени', error: 'Помилка' }),
    timeline: 'Хід подій', 'timeline.by': 'хто:',
    ...group('workers', { lead: { one: 'На зв’язку {n} з {of}', few: 'На зв’язку {n} з {of}', many: 'На зв’язку {n} з {of}', other: 'На зв’язку {n} з {of}' }, empty: 'Виконавців ще немає', 'empty.hint': 'Запустіть одного — на цій машині чи на іншій:' }),
    ...group('worker', {
        capacity: 'Зайняті місця', used: '{used} з {of}', sessions: { one: '{n} сеанс', few: '{n} сеанси', many: '{n} сеансів', other: '{n} сеансу' }, attempt: 'спроба {n}', more: { one: 'ще {n} завдання', few: 'ще {n} завдання', many: 'ще {n} завдань', other: 'ще {n} завдання' }, idle: 'Зараз нічого не робить', beat: 'Останній сигнал',
        unable: 'Не може виконувати завдань: немає Claude CLI.', exhausted: 'Його обліковий запис вичерпав ліміт до', drain: 'Не давати нового', 'drain.done': '{name} не братиме нового', 'resume.done': '{name} знову бере завдання', remove: 'Вилучити',
        'remove.ask': { one: 'Вилучити {name}? {n} завдання повернеться в чергу.', few: 'Вилучити {name}? {n} завдання повернуться в чергу.', many: 'Вилучити {name}? {n} завдань повернуться в чергу.', other: 'Вилучити {name}? {n} завдання повернуться в чергу.' }, 'remove.done': '{name} вилучено',
    }),
    ...group('queues', { lead: 'Призупинена черга нічого не видає; те, що виконується, триває', empty: 'Черг ще немає', 'empty.hint': 'Черга з’являється з першим завданням.' }),
    ...group('queue', {
        name: 'Черга', state: 'Стан', queued: 'Чекають', age: 'Найдовше чекає', running: 'Виконуються', failed: 'Невдачі', dead: 'Не вдалося', open: 'Відкрита', serial: 'по одному', pause: 'Призупинити', 'pause.done': 'Чергу {name} призупинено', 'resume.done': 'Черга {name} знову видає',
        redrive: 'Повернути невдалі', 'redrive.ask': { one: 'Повернути в чергу {name} {n} невдале завдання?', few: 'Повернути в чергу {name} {n} невдалі завдання?', many: 'Повернути в чергу {name} {n} невдалих завдань?', other: 'Повернути в чергу {name} {n} невдалого завдання?' },
        'redrive.done': { one: '{n} завдання знову в черзі', few: '{n} завдання знову в черзі', many: '{n} завдань знову в черзі', other: '{n} завдання знову в черзі' },
    }),
    ...group('membridge', {
        lead: 'Служба керування, що веде перелік виконавців і проєктів', settings: 'З’єднання', url: 'Адреса', key: 'Ключ адміністратора', 'key.kept': 'Ключ збережено; лишіть порожнім, щоб не змінювати', 'key.none': 'Ключа не збережено', saved: 'Збережено', test: 'Перевірити', tested: 'Перевірено', untested: 'Ще не перевірено',
        connected: 'З’єднано', unconnected: 'Не з’єднано', 'test.good': 'Membridge {version} відповідає і приймає ключ.', 'test.bad': 'Не працює: {said}', sync: 'Синхронізація виконавців', last: 'Останній успіх', failures: 'Невдач поспіль', tripped: 'перерва', error: 'Остання помилка',
        listed: 'У переліку', 'listed.value': { one: '{n} агент', few: '{n} агенти', many: '{n} агентів', other: '{n} агента' }, projects: 'Проєкти', 'projects.none': 'Проєктів немає', 'projects.hint': 'Проєкт з’являється з першим сигналом одного зі своїх вузлів.', leader: 'Головний вузол', preferred: 'обраний',
        nodes: 'Вузли', 'nodes.count': { one: '{n} вузол', few: '{n} вузли', many: '{n} вузлів', other: '{n} вузла' }, 'nodes.none': 'Вузлів немає', node: 'Вузол', role: 'Роль', observations: 'Спостереження', seen: 'Востаннє видно', addresses: 'Адреси',
        promote: 'Зробити головним', 'promote.ask': 'Зробити {node} головним вузлом проєкту {project}? Теперішній головний стане запасним.', 'promote.done': '{node} має стати головним', unset: 'Membridge не налаштовано', 'unset.hint': 'Введіть його адресу вгорі. Черга працює і без нього.',
    }),
    ...group('artifacts', { lead: 'Що залишили завдання, найновіше спершу', empty: 'Артефактів ще немає', 'empty.hint': 'Кожна завершена спроба залишає один.' }),
    ...group('artifact', { type: 'Тип', task: 'Завдання', content: 'Вміст', tags: 'Позначки', size: 'Розмір', created: 'Створено', stored: 'в об’єктному сховищі', empty: 'порожньо', download: 'Завантажити артефакт {id}' }),
    ...group('audit', { lead: 'Кожна зміна, записана базою даних у тій самій транзакції', time: 'Час', action: 'Дія', entity: 'Що', actor: 'Хто', detail: 'Подробиці', entity_type: 'Вид', entity_id: 'Ідентифікатор', empty: 'Журнал порожній', 'empty.hint': 'Перше подане завдання запише перший рядок.', nothing: 'Нічого не знайдено' }),
    verify: 'Чи цілий журнал?', ...group('verify', { run: 'Перевірити', hint: 'Перевіряє, що жоден перехід не пропущено, що кожен дозволений і що останній рядок збігається зі станом завдання.', running: 'Перевірено завдань: {shown}…', whole: { one: 'Цілий: перевірено {shown} завдання', few: 'Цілий: перевірено {shown} завдання', many: 'Цілий: перевірено {shown} завдань', other: 'Цілий: перевірено {shown} завдань' }, broken: { one: 'Знайдено {n} ваду', few: 'Знайдено {n} вади', many: 'Знайдено {n} вад', other: 'Знайдено {n} вади' } }),
};
