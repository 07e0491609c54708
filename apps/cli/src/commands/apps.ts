import { openFileSource, type PackageFacts, readPackage } from '@sallyport/releases';
import type { AppLinkView, AppMinimum, AppPlatform, AppView, ChannelDeviceView } from '@sallyport/security-api';
import { apps } from '@sallyport/security-api/admin';
import type { AdminClient } from '@sallyport/security-client/admin';
import type { Command } from 'commander';
import { renderUnicodeCompact } from 'uqr';
import { addOperatorCommand, type Given, table } from '../operator-command.ts';
import { CliError, formatTime, printJson } from '../output.ts';
import { globalsOf } from '../program.ts';
import { say } from '../terminal.ts';
import { addReleaseCommands } from './releases.ts';
import { given, sayRemoved } from './resources.ts';

interface AppOptions {
  readonly title?: string;
  readonly platform?: string[];
  readonly signer?: string[];
  readonly group?: string[];
  readonly everybody?: boolean;
  readonly owner?: string[];
  readonly minVersion?: string;
  readonly from?: string;
  readonly channel?: string[];
}

interface LinkOptions {
  readonly hours: string;
  readonly origin?: string;
}

const showApps = table<AppView>(['id', 'title', 'platforms', 'signers', 'groups', 'channels', 'minimum'], appRow);

/** `sallyport app …` */
export function addAppCommands(program: Command): void {
  const app = program.command('app').description('apps that devices may be; others neither enrol nor sign in');
  addOperatorCommand(app, {
    name: 'put <id>',
    about: 'register an app, or replace what is known of it',
    options: [
      ['--title <text>', 'what people call it'],
      ['--platform <systems...>', 'systems it runs on, with the lowest version where that matters: android@12 ios'],
      ['--signer <hashes...>', 'SHA-256 of the certificates that sign it, hex; without it whoever signed it is let in'],
      ['-g, --group <names...>', 'who may use it'],
      ['--everybody', 'every user may use it'],
      ['--owner <names...>', 'whom to ask about it'],
      ['--min-version <version>', 'the lowest version that is served'],
      [
        '--channel <channels...>',
        'channels of releases beside stable, with who is on them: beta=testers,office; beta alone is for single devices',
      ],
      ['--from <date>', 'until then older versions go on: 2026-12-24, or a time with zone; at once unless given'],
    ],
    run: putApp,
    show: showApps,
  });
  addOperatorCommand<LinkOptions, AppLinkView>(app, {
    name: 'link <id> <user>',
    about: 'make a link by which a user installs an app on a phone that has nothing yet; it is good once',
    options: [
      ['--hours <n>', 'how long it is good', '24'],
      ['--origin <url>', 'by which Proxy, wss://host[:port]; the first one of the realm unless given'],
    ],
    run: (admin, { options, reason }, id: string, user: string) => {
      const ttlMs = Number(options.hours) * 3_600_000;
      if (!Number.isInteger(ttlMs)) throw new CliError('--hours is not a number');
      return admin.call(apps.link, {
        params: { id },
        body: { user, ttlMs, ...given('origin', options.origin) },
        reason,
      });
    },
    show: ({ link, expiresAt }, _given, id: string, user: string) => {
      process.stdout.write(`${renderUnicodeCompact(link, { ecc: 'L' })}\n\n`);
      say`Link to install ${id} for ${user}, good once, until ${formatTime(expiresAt)}:\n${link}\n`;
    },
  });
  addChannelCommands(app);
  addInspect(app);
  addReleaseCommands(app);
  addOperatorCommand(app, { name: 'list', about: 'all apps', run: (admin) => admin.all(apps.list), show: showApps });
  addOperatorCommand(app, {
    name: 'show <id>',
    about: 'one app',
    run: async (admin, _given, id: string) => [await admin.call(apps.get, { params: { id } })],
    show: showApps,
    json: ([app]) => app,
  });
  addOperatorCommand(app, {
    name: 'remove <id>',
    about: 'let an app in no more; open channels of its devices serve nothing from then on',
    reason: ['shutting an app out', 'the app is retired'],
    run: (admin, { reason }, id: string) => admin.call(apps.remove, { params: { id }, reason }),
    show: sayRemoved,
  });
}

/** `sallyport app channel …`: single devices on a channel of releases. */
function addChannelCommands(app: Command): void {
  const channel = app
    .command('channel')
    .description('single devices on a channel of releases; groups are put on it by app put --channel');
  addOperatorCommand(channel, {
    name: 'add <app> <channel> <installation>',
    about: 'put one device on a channel, whatever groups its user is in',
    reason: ['putting a device on a channel', 'it shows the fault that 1.5 mends'],
    run: (admin, { reason }, id: string, name: string, installation: string) =>
      admin.call(apps.assign, { params: { id, channel: name, installation }, reason }),
    show: ({ done }, _given, id: string, name: string, installation: string) =>
      say`${installation} ${done ? 'is' : 'was already'} on the channel ${name} of ${id}\n`,
  });
  addOperatorCommand(channel, {
    name: 'list <app> <channel>',
    about: 'devices that are on a channel by themselves, since when, by whom and why',
    run: (admin, _given, id: string, name: string) => admin.all(apps.devices, { params: { id, channel: name } }),
    show: table<ChannelDeviceView>(['id', 'user', 'model', 'app', 'addedAt', 'addedBy', 'reason']),
  });
  addOperatorCommand(channel, {
    name: 'remove <app> <channel> <installation>',
    about: 'take one device off a channel: it gets no further byte of what it had by that alone',
    reason: ['taking a device off a channel', 'the fault is mended'],
    run: (admin, { reason }, id: string, name: string, installation: string) =>
      admin.call(apps.unassign, { params: { id, channel: name, installation }, reason }),
    show: sayRemoved,
  });
}

/** `sallyport app inspect`: what a package says of itself, for `app put`. */
function addInspect(app: Command): void {
  app
    .command('inspect <file>')
    .description(
      'what a package is: an APK whose signatures hold, or the zip file of a web app; nothing is sent anywhere',
    )
    .action(async (file: string, _options: object, command: Command) => {
      const facts = await inspect(file);
      if (globalsOf(command).json) return printJson(facts);
      say`${facts.id} ${facts.version} (build ${facts.build || 'none'}) for ${facts.os} ${facts.minOsVersion}\n`;
      for (const signer of facts.signers) say`  signed by ${signer}\n`;
      for (const permission of facts.permissions) say`  asks for ${permission}\n`;
    });
}

async function inspect(file: string): Promise<PackageFacts> {
  const source = await openFileSource(file);
  return readPackage(source).finally(() => source.close());
}

async function putApp(admin: AdminClient, { options, reason }: Given<AppOptions>, id: string): Promise<AppView[]> {
  if (!options.group === !options.everybody)
    throw new CliError('who may use the app?', 'name groups (--group staff), or say --everybody');
  const body = {
    groups: options.group ?? null,
    ...given('title', options.title),
    ...given('platforms', options.platform?.map(platformOf)),
    ...given('signers', options.signer?.map(signerOf)),
    ...given('owners', options.owner),
    ...given('minimum', minimumOf(options)),
    ...given('channels', options.channel && Object.fromEntries(options.channel.map(channelOf))),
  };
  return [await admin.call(apps.put, { params: { id }, body, reason })];
}

function platformOf(text: string): AppPlatform {
  const [os = '', minOsVersion] = text.split('@');
  return { os, ...given('minOsVersion', minOsVersion) };
}

function channelOf(text: string): readonly [string, string[]] {
  const [, name, groups] = /^([^=]+)(?:=(.+))?$/.exec(text) ?? [];
  if (name === undefined) throw new CliError(`${text} is no channel`, 'for instance: --channel beta=testers');
  return [name, groups?.split(',') ?? []];
}

/** Tools print digests with colons, in capitals. */
function signerOf(text: string): string {
  return text.replaceAll(':', '').toLowerCase();
}

function minimumOf({ minVersion, from }: AppOptions): AppMinimum | undefined {
  if (minVersion === undefined) {
    if (from !== undefined) throw new CliError('--from of which version?', 'add: --min-version 1.4.0');
    return undefined;
  }
  const at = from === undefined ? 0 : Date.parse(from);
  if (Number.isNaN(at)) throw new CliError(`${from} is no date`, 'for instance: --from 2026-12-24');
  return { version: minVersion, from: at };
}

function appRow({ id, title, platforms, signers, groups, minimum, channels }: AppView): object {
  return {
    id,
    title,
    platforms: platforms.map(({ os, minOsVersion }) => (minOsVersion ? `${os} ${minOsVersion}` : os)).join(', '),
    signers: signers.length === 0 ? 'any' : signers.map((one) => one.slice(0, 16)).join(', '),
    groups: groups === null ? 'everybody' : groups.join(', '),
    channels: Object.entries(channels)
      .map(([name, who]) => `${name}: ${who.length > 0 ? who.join(', ') : 'single devices'}`)
      .join('; '),
    minimum: minimum ? `${minimum.version} from ${new Date(minimum.from).toISOString()}` : '',
  };
}
