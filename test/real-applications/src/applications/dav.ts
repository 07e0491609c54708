import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { listening, startCommand } from '@sallyport/support';
import { type Application, expectSeen, startedAt } from '../application.ts';
import { run } from '../command.ts';
import { PYTHON } from './python.ts';

const DAV_METHODS = [
  'GET',
  'HEAD',
  'OPTIONS',
  'PUT',
  'POST',
  'DELETE',
  'PROPFIND',
  'PROPPATCH',
  'MKCOL',
  'COPY',
  'MOVE',
  'LOCK',
  'UNLOCK',
  'REPORT',
  'MKCALENDAR',
];
const POLICY = ['--method', ...DAV_METHODS];

const CALENDAR_CLIENT = `
import caldav, sys
url, proxy = sys.argv[1:]
client = caldav.DAVClient(url=url, username='ada', password='swordfish', proxy=proxy)
calendar = client.principal().make_calendar(name='Harbour')
calendar.save_event('''BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//Corp//EN
BEGIN:VEVENT
UID:1@corp
DTSTAMP:20260101T000000Z
DTSTART:20260102T080000Z
DTEND:20260102T090000Z
SUMMARY:Pilot on board
END:VEVENT
END:VCALENDAR''')
from datetime import datetime
found = calendar.search(start=datetime(2026, 1, 1), end=datetime(2026, 2, 1), event=True)
print(found[0].icalendar_component['summary'])
`;

/** Radicale: CalDAV (RFC 4791), with a page of its own. */
export const radicale: Application = {
  name: 'calendar',
  title: 'Radicale',
  needs: { python: [PYTHON.radicale, PYTHON.caldav] },
  policy: POLICY,
  async start({ folder, freePort, programs }) {
    const port = await freePort();
    writeFileSync(join(folder, 'users'), 'ada:swordfish\n');
    const config = `[server]
hosts = 127.0.0.1:${port}
[auth]
type = htpasswd
htpasswd_filename = ${folder}/users
htpasswd_encryption = plain
delay = 0
[storage]
filesystem_folder = ${folder}/collections
`;
    writeFileSync(join(folder, 'config'), config);
    const program = startCommand(programs.python('radicale'), ['--config', join(folder, 'config')]);
    await listening(port, program);
    return startedAt(`http://127.0.0.1:${port}`, program);
  },
  clients: [
    {
      name: 'caldav: a calendar, an event, a search',
      through: 'forward',
      async use({ folder, host, proxy, programs }) {
        const script = join(folder, 'client.py');
        writeFileSync(script, CALENDAR_CLIENT);
        const seen = await run(programs.python('python'), [script, `http://${host}/`, `http://${proxy}`]);
        expectSeen(seen.includes('Pilot on board'), seen);
        return 'finds the event "Pilot on board"';
      },
    },
    {
      name: 'its own page in Chromium: sign in',
      through: 'forward',
      async use({ laptop, host }) {
        const page = await laptop();
        await page.goto(`http://${host}/.web/`);
        await page.locator('input[data-name=user]').fill('ada');
        await page.locator('input[data-name=password]').fill('swordfish');
        await page.getByRole('button', { name: 'Next' }).click();
        await page.locator('#collectionsscene').waitFor({ timeout: 30_000 });
        await page.close();
        return 'the list of calendars';
      },
    },
    {
      name: 'its own page in Chromium: sign in',
      through: 'phone',
      async use({ phone }) {
        const { app } = await phone();
        await app.locator('input[data-name=user]').fill('ada', { timeout: 60_000 });
        await app.locator('input[data-name=password]').fill('swordfish');
        await app.getByRole('button', { name: 'Next' }).click();
        await app.locator('#collectionsscene').waitFor({ timeout: 30_000 });
        return 'the list of calendars';
      },
    },
  ],
};

/** WsgiDAV: a folder over WebDAV (RFC 4918). */
export const wsgidav: Application = {
  name: 'files',
  title: 'WsgiDAV',
  needs: { python: [PYTHON.wsgidav, PYTHON.cheroot] },
  policy: POLICY,
  async start({ folder, freePort, programs }) {
    const port = await freePort();
    const shared = join(folder, 'shared');
    mkdirSync(shared);
    const args = ['--host', '127.0.0.1', '--port', String(port), '--root', shared, '--auth', 'anonymous'];
    const program = startCommand(programs.python('wsgidav'), args);
    await listening(port, program);
    return startedAt(`http://127.0.0.1:${port}`, program);
  },
  clients: [
    {
      name: 'cadaver: make a folder, put, move, list',
      through: 'forward',
      async use({ folder, host, proxy }) {
        writeFileSync(join(folder, 'berths.txt'), 'berth 7\n');
        const input = 'mkcol plans\nput berths.txt plans/a.txt\nmove plans/a.txt plans/b.txt\nls plans\nquit\n';
        const seen = await run('cadaver', ['-p', proxy, `http://${host}/`], { input, cwd: folder });
        expectSeen(/b\.txt\s+8/.test(seen), seen.slice(-300));
        return 'plans/b.txt, 8 bytes';
      },
    },
    {
      name: 'rclone: 20 MB there and back',
      through: 'forward',
      async use({ folder, host, proxy }) {
        const bytes = randomBytes(20_000_000);
        writeFileSync(join(folder, 'big'), bytes);
        const environment = { http_proxy: `http://${proxy}`, RCLONE_CONFIG: '/dev/null' };
        const remote = ['--webdav-url', `http://${host}/`, '--webdav-vendor', 'other'];
        await run('rclone', [...remote, 'copyto', join(folder, 'big'), ':webdav:big'], { environment });
        await run('rclone', [...remote, 'copyto', ':webdav:big', join(folder, 'back')], { environment });
        expectSeen(readFileSync(join(folder, 'back')).equals(bytes), 'other bytes came back');
        return 'the same bytes';
      },
    },
  ],
};
