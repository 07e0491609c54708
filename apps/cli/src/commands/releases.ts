import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import {
  formatExpires,
  formatUpdate,
  parseHex,
  parseUpdate,
  type RoleKeys,
  type RootContent,
  type SignedUpdate,
  signersOfUpdate,
  signUpdate,
  type TargetsContent,
  UPDATE_SPEC,
  type UpdateKey,
  updateKeyFrom,
  updateKeyId,
  updateKeyOf,
} from '@sallyport/channel';
import type {
  AppVersionView,
  OfferedToView,
  ReleaseStandingView,
  ReleaseView,
  RolloutChange,
} from '@sallyport/security-api';
import { publishers, releases, updates } from '@sallyport/security-api/admin';
import type { AdminClient } from '@sallyport/security-client/admin';
import { readJsonFile } from '@sallyport/settings';
import type { Command } from 'commander';
import { addOperatorCommand, type Given, required, table } from '../operator-command.ts';
import { CliError } from '../output.ts';
import { loadProfile, storePrivate } from '../profile.ts';
import { profileFile } from '../program.ts';
import { say } from '../terminal.ts';
import { refuseBundle } from './app-bundle.ts';
import { given, sayRemoved } from './resources.ts';
import { othersIn, SignedBefore, targetsOfPackage } from './signing.ts';
import { uploadPackage } from './upload.ts';

const DAY_MS = 86_400_000;
const UNITS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: DAY_MS };

const showReleases = table<ReleaseView>(['id', 'app', 'version', 'os', 'state', 'rollout', 'publishedBy'], releaseRow);

/** `sallyport app publish`, `sign`, `rollout`, `status` and what stands behind them. */
export function addReleaseCommands(app: Command): void {
  addOperatorCommand<PublishOptions, ReleaseView>(app, {
    name: 'publish <file>',
    about: 'propose a package as a release of its app; what it is, is read out of it',
    options: [
      ['--notes <files...>', 'what changed: en=notes.md de=notizen.md'],
      ['--step <steps...>', 'rollout: 5% 25%@24h 100%@3d, counted from its approval; all at once unless given'],
      ['--channel <name>', 'a channel of the app, like beta; stable unless given: everybody is on that'],
      ['-g, --group <names...>', 'only devices of these groups, for instance testers'],
      [
        '--halt-above <percent>',
        'halt when so many percent more fail or are refused than with the version before',
        '20',
      ],
    ],
    run: publish,
    show: (release) => {
      showReleases([release]);
      say`  next: somebody else signs it: sallyport app sign ${release.id} --key <file> --package <file>\n`;
    },
  });
  addOperatorCommand<SignOptions, ReleaseView>(app, {
    name: 'sign <release>',
    about: 'sign the targets with a release; with enough signatures it is rolled out',
    options: [
      required('--key <file>', 'your key of the role targets, as `app keys` made it'),
      ['--package <file>', 'the package as you tried it: nothing else is signed, whatever the server says'],
      ['--with-others', 'sign although files are in it, too, that this key has not signed before'],
    ],
    run: sign,
    show: (release, { options }) => {
      showReleases([release]);
      for (const [language, note] of Object.entries(release.notes)) say`  ${language}: ${note}\n`;
      if (!options.package) say`  You have signed what the server said. With --package it is held against your file.\n`;
    },
  });
  addOperatorCommand(app, {
    name: 'releases',
    about: 'all releases',
    run: (admin) => admin.all(releases.list),
    show: showReleases,
  });
  addOperatorCommand(app, {
    name: 'status <id>',
    about:
      'how the releases of an app fare, and what else devices run: by version, downloads, failures, refusals; what was never released, withdrawn or revoked is named so',
    run: async (admin, _given, id: string): Promise<AppStanding> => {
      const [standings, versions] = await Promise.all([
        admin.call(releases.standings, { params: { id } }),
        admin.call(releases.versions, { params: { id }, query: { limit: '1000' } }),
      ]);
      return { standings, versions };
    },
    show: (standing) => showStanding(statusRows(standing)),
  });
  addOperatorCommand<{ readonly all?: boolean }, readonly OfferedToView[]>(app, {
    name: 'devices <release>',
    about: 'to which devices of its app a release is offered now, and why not to others',
    options: [['--all', 'those of other apps, too']],
    run: async (admin, { options }, id: string) => {
      const release = (await admin.all(releases.list)).find((one) => one.id === id);
      const found = await admin.all(releases.offered, { params: { id } });
      return found.filter(({ app: running }) => options.all || running.startsWith(`${release?.app}@`));
    },
    show: table<OfferedToView>(['id', 'user', 'app', 'offered', 'why']),
  });
  addRolloutCommands(app);
  addKeyCommands(app);
  addPublisherCommands(app);
}

/** How an app fares: its releases, and the versions that devices run. */
interface AppStanding {
  readonly standings: readonly ReleaseStandingView[];
  readonly versions: readonly AppVersionView[];
}

const showStanding = table<object>([
  ...['version', 'os', 'state', 'rollout', 'running'],
  ...['downloading', 'installed', 'failed', 'refused'],
]);

/** Releases, the newest first, and behind them what devices run, or were refused with, beside. */
function statusRows({ standings, versions }: AppStanding): object[] {
  const known = standings.map(({ release, percents, ...counts }) => ({
    ...releaseRow(release),
    ...counts,
    state: stateWords(
      release.state,
      versions.find((one) => isVersionOf(one, release)),
    ),
    rollout: rolloutWords(release, percents),
  }));
  const others = versions.filter(
    (one) =>
      (one.running > 0 || one.refused > 0) &&
      !standings.some(({ release }) => isVersionOf(one, release) || isCounted(one, release)),
  );
  return [...known, ...others.map((one) => ({ ...one, os: one.os ?? '?', state: stateWords(one.known, one) }))];
}

function isVersionOf({ version, os }: AppVersionView, release: ReleaseView): boolean {
  return version === release.version && os === release.os;
}

/** Devices that never said their system are counted with each release of their version. */
function isCounted({ version, os }: AppVersionView, release: ReleaseView): boolean {
  return os === null && version === release.version;
}

function stateWords(state: string, version?: AppVersionView): string {
  const marks = [version?.blocked && 'revoked', version?.tooOld && 'below the minimum'];
  return [state, ...marks.filter((mark) => mark)].join(', ');
}

function releaseRow(release: ReleaseView): object {
  return { ...release, rollout: rolloutWords(release) };
}

/** Rollouts by channel, of which the only one is not named where that is `stable`. */
function rolloutWords({ rollouts, state }: ReleaseView, percents?: Readonly<Record<string, number>>): string {
  const at = (ms: number): string => (state === 'proposed' ? `${ms / 3_600_000} h` : new Date(ms).toISOString());
  const words = Object.entries(rollouts).map(([channel, { steps, haltedAt, haltedWhy }]) => {
    const name = channel === 'stable' && Object.keys(rollouts).length === 1 ? '' : `${channel} `;
    if (haltedAt !== null) return `${name}halted: ${haltedWhy ?? ''}`;
    if (percents) return `${name}${percents[channel] ?? 0} %`;
    return `${name}${steps.map((step) => `${step.percent} % ${at(step.at)}`).join(', ')}`;
  });
  return words.join('; ');
}

interface RolloutOptions {
  readonly step: string[];
  readonly channel?: string;
  readonly group?: string[];
  readonly haltAbove?: string;
}

interface PublishOptions {
  readonly notes?: string[];
  readonly step?: string[];
  readonly group?: string[];
  readonly channel?: string;
  readonly haltAbove: string;
}

async function publish(
  admin: AdminClient,
  { options, reason }: Given<PublishOptions>,
  file: string,
): Promise<ReleaseView> {
  await refuseBundle(admin, file);
  const content = await uploadPackage(admin, file);
  const body = {
    sha256: content.sha256,
    ...given('notes', options.notes && Object.fromEntries(options.notes.map(noteOf))),
    ...given('channel', options.channel),
    rollout: {
      haltAbovePercent: Number(options.haltAbove),
      ...given('steps', options.step?.map(stepOf)),
      ...given('groups', options.group),
    },
  };
  return admin.call(releases.publish, { body, reason });
}

function noteOf(text: string): readonly [string, string] {
  const [language = '', file = ''] = text.split(/=(.*)/s);
  return [
    language,
    readFileSync(file, 'utf8')
      .replace(/\s*\n\s*/g, ' ')
      .trim(),
  ];
}

function stepOf(text: string): { readonly percent: number; readonly afterMs: number } {
  const [, percent, after, unit] = /^(\d{1,3})%?(?:@(\d{1,4})([mhd]))?$/.exec(text) ?? [];
  if (percent === undefined)
    throw new CliError(`${text} is no step of a rollout`, 'for instance: --step 5% 25%@24h 100%@3d');
  return { percent: Number(percent), afterMs: after === undefined ? 0 : Number(after) * UNITS[unit!]! };
}

interface SignOptions {
  readonly key: string;
  readonly package?: string;
  readonly withOthers?: boolean;
}

async function sign(admin: AdminClient, { options, reason }: Given<SignOptions>, id: string): Promise<ReleaseView> {
  const { secret } = readKey(options.key);
  if (!secret) throw new CliError(`${options.key} is the public half of a key`, 'give the file that `app keys` made');
  const { metadata } = await admin.call(releases.draft, { params: { id } });
  const update = parseUpdate('targets', new TextEncoder().encode(metadata));
  const before = new SignedBefore(options.key);
  if (options.package) await checkAsked(admin, update.signed.targets, { id, options, before: before.read() });
  const signed = new TextDecoder().decode(formatUpdate(signUpdate(update, secret)));
  const release = await admin.call(releases.sign, { params: { id }, body: { metadata: signed }, reason });
  before.write(update.signed.targets);
  return release;
}

/** @throws CliError when it is another package, or there are others beside it */
async function checkAsked(
  admin: AdminClient,
  asked: TargetsContent['targets'],
  { id, options, before }: { readonly id: string; readonly options: SignOptions; readonly before: typeof asked },
): Promise<void> {
  const release = (await admin.all(releases.list)).find((one) => one.id === id);
  if (!release) throw new CliError(`there is no release ${id}`);
  const others = othersIn(asked, { own: await targetsOfPackage(options.package!, release), before });
  if (others.length === 0 || options.withOthers) return;
  throw new CliError(
    `${others.length} files are in it, too, that this key has not signed before: ${others.slice(0, 8).join(', ')}`,
    'if you know of them: --with-others',
  );
}

function addRolloutCommands(app: Command): void {
  const channel = ['--channel <name>', 'which of its channels, where it is on several'] as const;
  const change = (name: string, about: string, wanted: RolloutChange['do'], why: readonly [string, string]): void =>
    addOperatorCommand<{ readonly channel?: string }, ReleaseView[]>(app, {
      name: `${name} <release>`,
      about,
      options: [channel],
      reason: why,
      run: async (admin, { options, reason }, id: string) => {
        const body = { do: wanted, ...given('channel', options.channel) };
        return [await admin.call(releases.rollout, { params: { id }, body, reason })];
      },
      show: showReleases,
    });
  change('halt', 'offer a release to nobody until it is resumed', 'halt', ['halting a rollout', 'it crashes']);
  change('resume', 'go on with a rollout that halted', 'resume', ['resuming a rollout', 'it was the network']);
  change('advance', 'begin the next step of a rollout now', 'advance', ['going on', 'all is well']);
  addOperatorCommand<RolloutOptions, ReleaseView[]>(app, {
    name: 'rollout <release>',
    about: 'give a rollout other steps, from now on; on another channel it begins with them',
    options: [
      required('--step <steps...>', '25% 100%@24h'),
      ['--channel <name>', 'which channel: one that it is not on yet begins, like stable after beta'],
      ['-g, --group <names...>', 'only devices of these groups'],
      ['--halt-above <percent>', 'halt when so many percent more fail or are refused than with the version before'],
    ],
    reason: ['changing a rollout', 'to all before the weekend'],
    run: async (admin, { options, reason }, id: string) => {
      const body = {
        do: 'steps',
        steps: options.step.map(stepOf),
        ...given('channel', options.channel),
        ...given('groups', options.group),
        ...given('haltAbovePercent', options.haltAbove === undefined ? undefined : Number(options.haltAbove)),
      } as const;
      return [await admin.call(releases.rollout, { params: { id }, body, reason })];
    },
    show: showReleases,
  });
  addOperatorCommand(app, {
    name: 'withdraw <release>',
    about: 'take a release back; `revoke app id@version` ends it where it is installed',
    reason: ['taking a release back', 'it loses data'],
    run: (admin, { reason }, id: string) => admin.call(releases.withdraw, { params: { id }, reason }),
    show: (_done, _given, id: string) => say`${id} is withdrawn: nobody is offered it, or gets another byte of it\n`,
  });
}

/** A key as a file: whoever has it can sign. */
interface KeyFile {
  readonly public: string;
  readonly secret?: string;
}

function readKey(text: string): { readonly key: UpdateKey; readonly secret?: Uint8Array } {
  if (/^[0-9a-f]{64}$/.test(text)) return { key: updateKeyOf(parseHex(text)) };
  const { public: publicHex, secret } = readJsonFile(text) as KeyFile;
  return {
    key: updateKeyOf(parseHex(publicHex)),
    ...given('secret', secret === undefined ? undefined : parseHex(secret)),
  };
}

interface RootOptions {
  readonly rootKey: string[];
  readonly targetsKey: string[];
  readonly rootThreshold: string;
  readonly targetsThreshold: string;
  readonly days: string;
  readonly out: string;
  readonly newOnlineKey?: boolean;
}

function addKeyCommands(app: Command): void {
  app
    .command('keys <file>')
    .description('make a key that signs roots or targets: keep the file away from every server')
    .action((file: string) => {
      if (existsSync(file)) throw new CliError(`${file} is there already`, 'a key is never written over another one');
      const secret = randomBytes(32);
      const { public: publicHex } = updateKeyFrom(secret).key.keyval;
      writeFileSync(file, `${JSON.stringify({ public: publicHex, secret: secret.toString('hex') })}\n`, {
        mode: 0o600,
      });
      say`${file}: whoever has it can sign. Its public half, for \`app root make\`:\n  ${publicHex}\n`;
    });
  const root = app.command('root').description('who signs what devices take for an update');
  addOperatorCommand(root, {
    name: 'make',
    about: 'write the next root into a file, for those who sign it',
    options: [
      required('--root-key <keys...>', 'who signs roots: files of keys, or public halves'),
      required('--targets-key <keys...>', 'who signs releases: files of keys, or public halves'),
      ['--root-threshold <n>', 'how many of them must sign a root', '1'],
      ['--targets-threshold <n>', 'how many of them must sign a release', '1'],
      ['--days <n>', 'how long it is good', '365'],
      ['--new-online-key', 'Security signs with another key from then on: for one that was stolen'],
      required('--out <file>', 'where it is written'),
    ],
    run: async (admin, { options }: Given<RootOptions>) => {
      const made = nextRoot(await admin.call(updates.root), options);
      writeFileSync(options.out, formatUpdate({ signatures: [], signed: made }));
      return made;
    },
    show: ({ version }, { options }) =>
      say`root ${version} is in ${options.out}. Next: sallyport app root sign ${options.out} --key <file>, then: app root put ${options.out}\n`,
  });
  root
    .command('sign <file>')
    .description('sign a root; nothing is sent anywhere')
    .requiredOption('--key <file>', 'your key, as `app keys` made it')
    .action((file: string, { key }: { key: string }) => {
      const { secret } = readKey(key);
      if (!secret) throw new CliError(`${key} is the public half of a key`);
      const signed = signUpdate(parseUpdate('root', readFileSync(file)), secret);
      writeFileSync(file, formatUpdate(signed));
      const count = signersOfUpdate(signed, signed.signed, 'root').length;
      say`${file} has ${count} of the ${signed.signed.roles.root.threshold} signatures of its own keys\n`;
    });
  addOperatorCommand(root, {
    name: 'put <file>',
    about: 'put a signed root: devices follow it from the one that they know',
    run: (admin, { reason }, file: string) =>
      admin.call(updates.put, { body: { metadata: readFileSync(file, 'utf8') }, reason }),
    show: ({ version }) => say`root ${version} is in use\n`,
  });
}

function nextRoot(
  { metadata, onlineKeys }: { readonly metadata: string | null; readonly onlineKeys: readonly string[] },
  { rootKey, targetsKey, rootThreshold, targetsThreshold, days, newOnlineKey }: RootOptions,
): RootContent {
  const before = metadata === null ? undefined : parseUpdate('root', new TextEncoder().encode(metadata));
  const online = updateKeyOf(parseHex(onlineKeys[onlineIndex(before, onlineKeys) + (newOnlineKey ? 1 : 0)]!));
  const keysOf = (texts: readonly string[]): UpdateKey[] => texts.map((text) => readKey(text).key);
  const [roots, targets] = [keysOf(rootKey), keysOf(targetsKey)];
  const role = (keys: readonly UpdateKey[], threshold: number): RoleKeys => ({
    keyids: keys.map(updateKeyId),
    threshold,
  });
  return {
    _type: 'root',
    spec_version: UPDATE_SPEC,
    version: (before?.signed.version ?? 0) + 1,
    expires: formatExpires(Date.now() + Number(days) * DAY_MS),
    consistent_snapshot: true,
    keys: Object.fromEntries([...roots, ...targets, online].map((key) => [updateKeyId(key), key])),
    roles: {
      root: role(roots, Number(rootThreshold)),
      targets: role(targets, Number(targetsThreshold)),
      snapshot: role([online], 1),
      timestamp: role([online], 1),
    },
  };
}

function onlineIndex(before: SignedUpdate<RootContent> | undefined, onlineKeys: readonly string[]): number {
  const [id = ''] = before?.signed.roles.timestamp.keyids ?? [];
  const named = before?.signed.keys[id]?.keyval.public;
  return Math.max(0, onlineKeys.indexOf(named ?? ''));
}

function addPublisherCommands(app: Command): void {
  const publisher = app.command('publisher').description('pipelines that may publish, and nothing else');
  addOperatorCommand(publisher, {
    name: 'add <name>',
    about: 'make a credential for a pipeline, in a folder of its own; one that it had is over',
    options: [required('--to <folder>', 'where it is written: the pipeline says --data with it')],
    run: async (admin, { options: { to }, reason, globals }: Given<{ readonly to: string }>, name: string) => {
      const { url, others, ca } = loadProfile(profileFile(globals));
      const { token } = await admin.call(publishers.issue, { body: { name }, reason });
      const file = profileFile({ ...globals, data: to });
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
      storePrivate(file, { url, ...(others === undefined ? {} : { others }), ca, name, token });
      return { name, file };
    },
    show: ({ name, file }, { options: { to } }) =>
      say`the credential of ${name} is in ${file}. It publishes so: sallyport --data ${to} app publish <file>\n`,
  });
  addOperatorCommand(publisher, {
    name: 'list',
    about: 'all pipelines',
    run: (admin) => admin.all(publishers.list),
    show: table(['name', 'createdAt', 'endedAt']),
  });
  addOperatorCommand(publisher, {
    name: 'end <name>',
    about: 'end a credential at once',
    reason: ['ending a credential', 'the pipeline is gone'],
    run: (admin, { reason }, name: string) => admin.call(publishers.end, { params: { name }, reason }),
    show: sayRemoved,
  });
}
