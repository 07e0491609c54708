import { type Credentials, type Device, readLinkUser } from '@sallyport/device';
import type { Command } from 'commander';
import { CliError, printRows } from '../output.ts';
import { type GlobalOptions, globalsOf } from '../program.ts';
import { signInByBrowser } from '../provider-login.ts';
import { askOneTimeCode, promptPassword } from '../secrets.ts';
import { say, warn } from '../terminal.ts';
import { type FetchOptions, fetchUrl } from './fetch.ts';
import { addForwardCommand } from './forward/command.ts';
import { deviceFile, openCliDevice, signedIn } from './open.ts';
import { addServiceCommands } from './service/commands.ts';
import { addTrustCommands, trustedFile } from './trust/commands.ts';
import { Trusted } from './trust/trusted.ts';

interface SignInOptions {
  readonly user?: string;
  readonly provider?: string;
  readonly passwordStdin?: boolean;
}

async function withDevice(globals: GlobalOptions, work: (device: Device) => Promise<void>): Promise<void> {
  const device = await openCliDevice(globals);
  try {
    await work(device);
  } finally {
    device.close();
  }
}

/** How each site is reached from here. */
function sayMeasured(device: Device): void {
  say`\nby these sites:\n`;
  const rows = device.sites.map(({ resources, ...site }) => ({
    ...site,
    connectMs: site.connectMs ?? 'not measured',
    resources: resources.join(' '),
  }));
  printRows(rows, ['name', 'reach', 'connectMs', 'resources'], false);
}

function sayResources(device: Device, globals: GlobalOptions): void {
  if (!globals.json) say`${device.state}; you may use:\n`;
  printRows(device.resources, ['name', 'kind', 'authority'], globals.json);
  if (!globals.json && device.sites.length > 1) sayMeasured(device);
}

/** `sallyport device …`: this machine plays the device. */
export function addDeviceCommands(program: Command): void {
  const device = program.command('device').description('this machine as a device');
  device
    .command('enroll <link>')
    .description('enrol with an enrolment link, then sign in')
    .option('-u, --user <name>', 'user name')
    .option('--provider <directory>', 'sign in at an OpenID provider instead, in a browser')
    .option('--password-stdin', 'read the password from standard input')
    .action(enroll);
  device
    .command('login')
    .description('sign in')
    .option('-u, --user <name>', 'user name')
    .option('--provider <directory>', 'sign in at an OpenID provider instead, in a browser')
    .option('--password-stdin', 'read the password from standard input')
    .action(async (options: SignInOptions, command: Command) => {
      const globals = globalsOf(command);
      await withDevice(globals, async (opened) => {
        await opened.login(await credentialsFor(opened, options), { oneTimeCode: askOneTimeCode });
        sayResources(opened, globals);
      });
    });
  device
    .command('status')
    .description('state and resources')
    .action(async (_options, command: Command) => {
      const globals = globalsOf(command);
      await withDevice(globals, async (opened) => {
        await signedIn(opened);
        sayResources(opened, globals);
      });
    });
  device
    .command('logout')
    .description('end the session, here and at the gateway; the machine stays enrolled')
    .action(async (_options, command: Command) => {
      await withDevice(globalsOf(command), (opened) => opened.logout());
      process.stdout.write('signed out\n');
    });
  device
    .command('reset')
    .description('forget keys, session and enrolment on this machine')
    .action(async (_options, command: Command) => {
      const globals = globalsOf(command);
      await withDevice(globals, (opened) => opened.reset());
      process.stdout.write('this machine is no device any more\n');
      if (new Trusted(trustedFile(globals)).entries.length > 0)
        warn`its CA is still trusted; take it back: sallyport device untrust\n`;
    });
  addFetchCommand(device);
  addForwardCommand(device);
  addTrustCommands(device);
  addServiceCommands(device);
}

/** Name and password, or what a provider gave in the browser. */
async function credentialsFor(device: Device, options: SignInOptions, link?: string): Promise<Credentials> {
  if (options.provider === undefined) {
    if (options.user === undefined)
      throw new CliError('who signs in?', 'add: --user <name>, or --provider <directory>');
    return { user: options.user, password: await promptPassword(options.passwordStdin === true) };
  }
  const provider = (await device.providers(link)).find(({ directory }) => directory === options.provider);
  if (!provider) throw new CliError(`there is no provider ${options.provider}`, 'sallyport directory list shows them');
  // A provider takes any port of this machine for a native app (RFC 8252, section 7.3).
  return signInByBrowser((redirect) => device.beginProviderSignIn({ ...provider, redirects: [redirect] }, redirect));
}

/** How the user of this device is called, as Security said. */
function nameOf({ user }: Device): string {
  if (!user) return 'somebody without a name';
  return user.displayName === user.name ? user.name : `${user.displayName} (${user.name})`;
}

async function enroll(link: string, options: SignInOptions, command: Command): Promise<void> {
  const globals = globalsOf(command);
  const meant = readLinkUser(link);
  if (meant !== undefined) warn`this link is for ${meant}: if that is not you, stop here\n`;
  await withDevice(globals, async (opened) => {
    await opened.enroll(link, await credentialsFor(opened, options, link));
    await opened.login(undefined, { oneTimeCode: askOneTimeCode });
    if (!globals.json) say`enrolled for ${nameOf(opened)}; the keys are in ${deviceFile(globals)}\n`;
    sayResources(opened, globals);
  });
}

function addFetchCommand(device: Command): void {
  device
    .command('fetch <url>')
    .description('fetch a URL through the gateway, like curl')
    .option('-X, --request <method>', 'method')
    .option('-H, --header <lines...>', 'header lines')
    .option('-d, --data <text>', 'content of the request')
    .option('-T, --upload-file <file>', 'upload a file')
    .option('-o, --output <file>', 'write the content to a file, with a progress bar')
    .option('-i, --include', 'show status and headers')
    .option('-v, --verbose', 'say by which site the answer came, and what was measured of it')
    .action((url: string, options: FetchOptions, command: Command) =>
      withDevice(globalsOf(command), async (opened) => {
        await signedIn(opened);
        await fetchUrl(opened, url, options);
      }),
    );
}
