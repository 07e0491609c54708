import { randomBytes } from 'node:crypto';
import { type Credentials, type Device, readLinkUser } from '@sallyport/device';
import type { Command } from 'commander';
import { CliError, printJson, printRows } from '../output.ts';
import { type GlobalOptions, globalsOf } from '../program.ts';
import { signInByBrowser } from '../provider-login.ts';
import { askOneTimeCode, askPassword } from '../secrets.ts';
import { say, warn } from '../terminal.ts';
import { type FetchOptions, fetchUrl } from './fetch.ts';
import { createForwardProxy } from './forward.ts';
import { forwardAccess } from './forward-access.ts';
import { deviceFile, openCliDevice } from './open.ts';

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

async function signedIn(device: Device): Promise<void> {
  if (device.state === 'new')
    throw new CliError('this machine is not enrolled as a device', 'run: sallyport device enroll <link> --user <name>');
  if (!device.hasSession)
    throw new CliError('nobody is signed in on this device', 'run: sallyport device login --user <name>');
  await device.resume();
}

function sayResources(device: Device, globals: GlobalOptions): void {
  if (!globals.json) say`${device.state}; you may use:\n`;
  printRows(device.resources, ['name', 'kind', 'authority'], globals.json);
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
      await withDevice(globalsOf(command), (opened) => opened.reset());
      process.stdout.write('this machine is no device any more\n');
    });
  addFetchCommand(device);
  addForwardCommand(device);
}

/** Name and password, or what a provider gave in the browser. */
async function credentialsFor(device: Device, options: SignInOptions, link?: string): Promise<Credentials> {
  if (options.provider === undefined) {
    if (options.user === undefined)
      throw new CliError('who signs in?', 'add: --user <name>, or --provider <directory>');
    return { user: options.user, password: await askPassword(options.passwordStdin === true) };
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
    .action((url: string, options: FetchOptions, command: Command) =>
      withDevice(globalsOf(command), async (opened) => {
        await signedIn(opened);
        await fetchUrl(opened, url, options);
      }),
    );
}

interface ForwardOptions {
  readonly port: string;
  readonly password?: boolean;
}

function addForwardCommand(device: Command): void {
  device
    .command('forward')
    .description('a local HTTP proxy, so that any client of yours on this machine can go through the gateway')
    .option('-p, --port <n>', 'port on 127.0.0.1', '8488')
    .option('--password', 'whoever knows a password that is printed may use it, instead of the programs of your user')
    .action(forward);
}

async function forward(options: ForwardOptions, command: Command): Promise<void> {
  const globals = globalsOf(command);
  const opened = await openCliDevice(globals);
  await signedIn(opened);
  const port = Number(options.port);
  const password = options.password ? randomBytes(12).toString('base64url') : undefined;
  const server = createForwardProxy(opened, forwardAccess(password));
  await new Promise<void>((resolve, reject) => {
    server.once('error', () => reject(new CliError(`port ${port} is taken`, 'choose another one with --port')));
    server.listen(port, '127.0.0.1', resolve);
  });
  opened.on('ended', ({ code }) => warn`the session is over (${code}); sign in again: sallyport device login\n`);
  opened.on('state', ({ state }) => warn`${state}\n`);
  const proxy = `http://${password === undefined ? '' : `x:${password}@`}127.0.0.1:${port}`;
  if (globals.json) printJson({ proxy, resources: opened.resources });
  else sayForward(opened, proxy, password);
  process.once('SIGINT', () => process.exit(0));
  process.once('SIGTERM', () => process.exit(0));
}

function sayForward(device: Device, proxy: string, password: string | undefined): void {
  const who = password === undefined ? 'your programs on this machine may use it' : 'who knows its password may use it';
  say`forward proxy at ${proxy} (${who}); you may use:\n`;
  printRows(device.resources, ['name', 'kind', 'authority'], false);
  const first = device.resources.find(({ kind }) => kind === 'http');
  if (first) say`\ntry: curl -x ${proxy} http://${first.authority}/\n`;
}
