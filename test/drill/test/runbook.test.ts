import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { ChildPostgres, SqlStore } from '@sallyport/store-sql';
import { waitFor } from '@sallyport/support';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Night } from '../src/night.ts';
import { type RunbookChapter, readRunbook, unseenIn } from '../src/runbook.ts';

const chapters = readRunbook(readFileSync(new URL('../../../docs/recovery.md', import.meta.url), 'utf8'));
/** Whoever waits at night does not type all the time: each command is a process. */
const AGAIN_MS = 500;
let night: Night;

beforeAll(async () => {
  night = await Night.begin();
  await must('sallyport backup keys new night --out /mnt/safe', 'mv /mnt/safe/*identity* /mnt/safe/identity');
  await must('mv /mnt/safe/*recipient* /etc/sallyport/backup-recipient', 'sallyport backup target init');
  await night.start('sallyport-security');
  const { adminUrl, oneTimeToken, ca } = night.ready('sallyport-security');
  writeFileSync(night.path('/desk/ca.pem'), ca!);
  await must(`printf ${oneTimeToken} | sallyport login ${adminUrl} --ca ca.pem --token-stdin --name olga`);
  await must(
    'sallyport group add staff',
    'printf secret-of-bob | sallyport user add bob --group staff --password-stdin',
  );
  await must('sallyport site put here --origin ws://127.0.0.1:1');
});
afterAll(() => night.end());

/** What has to be done so that something is there to be mended. */
async function must(...commands: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await night.type(commands);
  expect(code, stdout + stderr).toBe(0);
  return stdout;
}

/** Goes through the blocks of a chapter, one after the other. */
class Reading {
  readonly #chapter: RunbookChapter;
  #next = 0;

  constructor(title: string) {
    this.#chapter = chapters.find((chapter) => chapter.title === title)!;
    expect(this.#chapter, `a chapter "${title}"`).toBeDefined();
  }

  /** The next words are in what `said` gives, sooner or later. */
  async see(said: () => string | Promise<string>): Promise<void> {
    const { kind, lines } = this.#take();
    expect(kind).toBe('words');
    let text = '';
    const unseen = async (): Promise<string[]> => {
      text = await said();
      return unseenIn(text, lines);
    };
    await waitFor(
      async () => (await unseen()).length === 0,
      lines.join(' | '),
      () => text,
    );
  }

  /** The next commands do their work, and print what the page says. With `until` they are typed again until they print it. */
  async type(options: { until?: true } = {}): Promise<string> {
    const { kind, lines } = this.#take();
    expect(kind).toBe('commands');
    const wanted = this.#chapter.blocks[this.#next]?.follows ? this.#take().lines : [];
    let said = '';
    const typed = async (): Promise<boolean> => {
      const { code, stdout, stderr } = await night.type(lines);
      // What a command did it says once, however often it is typed until all is well.
      said += stdout + stderr;
      expect(code, `${lines.join('\n')}\n${said}`).toBe(0);
      const done = unseenIn(said, wanted).length === 0;
      if (!done && options.until) await sleep(AGAIN_MS);
      return done;
    };
    if (options.until) await waitFor(typed, wanted.join(' | '), () => said);
    else expect(await typed(), `${wanted.join('\n')}\nis not in\n${said}`).toBe(true);
    return said;
  }

  end(): void {
    expect(this.#chapter.blocks.length, 'every block of the chapter was used').toBe(this.#next);
    read.add(this.#chapter.title);
  }

  #take() {
    return this.#chapter.blocks[this.#next++]!;
  }
}

const read = new Set<string>();
const SECURITY = 'sallyport-security';
const log = (): string => night.log(SECURITY).replaceAll(night.folder, '');
const status = async (): Promise<string> => (await night.type(['sallyport status'])).stdout;

/** Another operator, with a desk of their own. */
async function operator(name: string): Promise<void> {
  const token = /(\S{20,})/.exec(await must(`sallyport operator invite ${name} --reason "on call"`))![1];
  const { adminUrl } = night.ready(SECURITY);
  await must(`printf ${token} | sallyport --data ${name} login ${adminUrl} --ca ca.pem --token-stdin`);
}

/** Somebody writes to the database past Security. */
async function forge(...statements: readonly string[]): Promise<void> {
  const data = night.path('/var/lib/sallyport');
  const address = ChildPostgres.addressOf({
    folder: `${data}/database`,
    passwordFile: `${data}/security/database-password`,
  });
  const database = new SqlStore(address, { poolSize: 1 });
  for (const statement of statements) await database.query(statement);
  await database.close();
}

/** What the page says that is kept elsewhere, as it is now. */
async function keep(): Promise<void> {
  await must('cp -p /var/lib/sallyport/security/kek.json /mnt/safe/', 'sallyport backup create');
  await must('sallyport backup verify --identity /mnt/safe/identity');
}

test('the shell: settings of the server', async () => {
  await keep();
  const page = new Reading('');
  await page.type();
  await page.type();
  page.end();
});

test('a node is gone', async () => {
  const page = new Reading('A node');
  night.configure('security', { SALLYPORT_NODE: 'old' });
  await night.start(SECURITY);
  night.kill(SECURITY);
  night.configure('security', { SALLYPORT_NODE: 'new' });
  await night.start(SECURITY);
  await page.see(status);
  await page.type({ until: true });
  page.end();
});

test('the key file is lost', async () => {
  const page = new Reading('The key file');
  rmSync(night.path('/var/lib/sallyport/security/kek.json'));
  await night.start(SECURITY);
  await page.see(log);
  await page.type();
  await page.type({ until: true });
  await page.type();
  page.end();
});

test('somebody revokes everything', async () => {
  await operator('mallory');
  await must('sallyport --data mallory revoke everything --reason "so what"');
  const page = new Reading('A wrong `revoke everything`');
  await page.type();
  await page.type();
  await page.type();
  page.end();
});

test('somebody deletes users', async () => {
  await operator('trudy');
  await must('sallyport --data trudy user remove bob --reason "so what"');
  const page = new Reading('Deleted users');
  await page.type();
  await page.type();
  page.end();
});

test('the site burns down', async () => {
  await keep();
  await must('sallyport group add after-the-backup', 'sallyport user disable bob --reason "left"');
  await night.stop(SECURITY);
  rmSync(night.path('/var/lib/sallyport'), { recursive: true });
  const page = new Reading('Bring the realm back');
  await page.type();
  await page.type();
  await page.type({ until: true });
  page.end();
  const groups = await must('sallyport group list');
  expect(groups).toContain('staff');
  expect(groups).not.toContain('after-the-backup');
  expect(await must('sallyport user show bob')).toMatch(/bob .*(?:no|false)/);
});

test('a machine is set back to a snapshot', async () => {
  await night.stop(SECURITY);
  // What a snapshot brings back is in the same folder, by its number in the file system: another one is a copy.
  await must('mkdir /mnt/snapshot', 'cp -a /var/lib/sallyport/database/cluster/. /mnt/snapshot/');
  await night.start(SECURITY);
  await must('sallyport revoke everything --reason "after the snapshot"');
  await night.stop(SECURITY);
  await must('find /var/lib/sallyport/database/cluster/ -mindepth 1 -delete');
  await must('cp -a /mnt/snapshot/. /var/lib/sallyport/database/cluster/');
  await night.start(SECURITY);
  const page = new Reading('A VM snapshot');
  await page.see(log);
  await page.type({ until: true });
  page.end();
});

test('somebody changes the database', async () => {
  await keep();
  await forge("update users set password_hash = 'mine'", "update audit set actor = 'nobody' where seq = 2");
  const page = new Reading('Ransom: the database was changed');
  await night.start(SECURITY);
  await night.type(['sallyport user list']);
  await page.see(log);
  await page.see(status);
  await page.type();
  await page.type();
  await page.type();
  page.end();
  expect(await must('sallyport operator list')).toContain('olga');
});

test('a target of backups is lost', async () => {
  rmSync(night.path('/mnt/backup'), { recursive: true });
  night.configure('security', { SALLYPORT_BACKUP_EVERY_MS: '5000' });
  await night.start(SECURITY);
  const page = new Reading('A lost backup target');
  await page.see(status);
  night.configure('security', { SALLYPORT_BACKUP_EVERY_MS: '120000' });
  mkdirSync(night.path('/mnt/backup'));
  await page.type({ until: true });
  page.end();
});

test('every command of the page was typed', () => {
  expect([...read].sort()).toEqual(chapters.map(({ title }) => title).sort());
});
