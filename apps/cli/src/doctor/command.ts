import { existsSync, readFileSync } from 'node:fs';
import { styleText } from 'node:util';
import { type Diagnosis, examineDeviceWay, exitStatusOf, USUAL_LIMITS, type WaitLimits } from '@sallyport/doctor';
import { type Command, Option } from 'commander';
import { CliError, counted, printJson } from '../output.ts';
import { type GlobalOptions, globalsOf } from '../program.ts';
import { settingsOfServer, usualSettings } from '../servers/settings.ts';
import { printable, say } from '../terminal.ts';
import { parseDuration } from '../units.ts';
import { userPath } from '../user-path.ts';
import type { Examination } from './examination.ts';
import { examinationsOfDatabase } from './from-database.ts';
import { examinationsOfProxy } from './from-proxy.ts';
import { examinationsOfSecurity } from './from-security.ts';
import { examinationsOfOwnChannel } from './own-channel.ts';
import { examinationsOfRealm } from './own-realm.ts';

type Place = 'security' | 'proxy' | 'database' | 'device';

interface DoctorOptions {
  readonly from?: Place;
  readonly env?: string;
  readonly origin?: readonly string[];
  readonly ca?: string;
  readonly directory?: readonly string[];
  readonly directoryCa?: string;
  readonly backend?: readonly string[];
  readonly backendCa?: string;
  readonly host?: readonly string[];
  readonly patroni?: boolean;
  readonly repository?: string;
  readonly tls: string;
  readonly hold?: string;
}

/** `sallyport doctor` */
export function addDoctorCommand(program: Command): void {
  const doctor = program
    .command('doctor')
    .description(
      'tries every way of a farm that begins on this host, and says what is in the way and what to do; ends with 0, 1 (warnings) or 2 (failures)',
    )
    .addOption(
      new Option(
        '--from <place>',
        'what this host is: security, proxy, database or device; else what has settings in /etc/sallyport, or a device',
      ).choices(['security', 'proxy', 'database', 'device']),
    )
    .option('--env <file>', 'settings of the server of this host; else the environment, else /etc/sallyport')
    .option('--origin <urls...>', 'where devices come in, like wss://gate.example.com')
    .option('--ca <file>', 'PEM file: the CA that devices trust; that of this system unless given')
    .option('--hold <time>', 'how long a WebSocket is watched for somebody who cuts it; 35s unless given')
    .option('--directory <urls...>', 'from security: directories and providers, like ldaps://dc1.corp')
    .option('--directory-ca <file>', 'PEM file: their CA; that of this system unless given')
    .option('--backend <places...>', 'from proxy: backends, host:port, or https://host:port with its certificate')
    .option('--backend-ca <file>', 'PEM file: their CA; that of this system unless given')
    .option('--host <names...>', 'from database: the other database hosts')
    .option('--patroni', 'from database: Patroni and etcd run on them')
    .option('--repository <host>', 'from database: where the archive is')
    .option('--tls <folder>', 'from database: folder of ca.pem, server.pem and server.key', '/etc/sallyport/tls');
  doctor.action(async (options: DoctorOptions) => {
    const globals = globalsOf(doctor);
    const limits = limitsOf(options);
    const places = placesOf(options);
    const ofPlaces = await Promise.all(places.map((place) => examinationsOf(place, options, globals)));
    const examinations = [...ofPlaces.flat(), ...wayOfDevices(options)];
    const found = (await Promise.all(examinations.map((examine) => examine(limits)))).flat();
    if (globals.json) printJson({ status: exitStatusOf(found), diagnoses: found });
    else show(found);
    process.exitCode = exitStatusOf(found);
  });
}

function limitsOf({ hold }: DoctorOptions): WaitLimits {
  return hold === undefined ? USUAL_LIMITS : { ...USUAL_LIMITS, holdMs: parseDuration(hold) };
}

/** What this host is: as it is said, else by its files. */
function placesOf({ from, env }: DoctorOptions): readonly Place[] {
  if (from !== undefined) return [from];
  if (env !== undefined) throw new CliError('whose settings are these?', 'add: --from security, or --from proxy');
  const servers = (['security', 'proxy'] as const).filter((name) => existsSync(usualSettings(name)));
  return servers.length > 0 ? servers : ['device'];
}

async function examinationsOf(from: Place, options: DoctorOptions, globals: GlobalOptions): Promise<Examination[]> {
  const { data } = globals;
  const place = { file: options.env, data };
  if (from === 'security')
    return [
      ...examinationsOfSecurity(await settingsOfServer('security', place), {
        urls: options.directory ?? [],
        caFile: ofUser(options.directoryCa),
      }),
      ...examinationsOfRealm(globals),
    ];
  if (from === 'proxy')
    return examinationsOfProxy(await settingsOfServer('proxy', place), {
      places: options.backend ?? [],
      caFile: ofUser(options.backendCa),
    });
  if (from === 'database') {
    const { host: hosts = [], patroni = false, repository } = options;
    return examinationsOfDatabase({ folder: data, hosts, patroni, repository, tls: userPath(options.tls) });
  }
  const own = examinationsOfOwnChannel(globals);
  if (!options.origin && own.length === 0)
    throw new CliError('where do devices come in?', 'add: --origin wss://gate.example.com');
  return own;
}

function ofUser(file: string | undefined): string | undefined {
  return file === undefined ? undefined : userPath(file);
}

function wayOfDevices({ origin = [], ca }: DoctorOptions): Examination[] {
  const trusted = ca === undefined ? {} : { ca: readFileSync(userPath(ca), 'utf8') };
  return origin.map((one) => {
    if (!/^wss?:\/\/[^/]+$/.test(one)) throw new CliError(`${one}: an origin is like wss://gate.example.com`);
    return (limits) => examineDeviceWay({ origin: one, ...trusted }, limits);
  });
}

const MARKS = { ok: ['green', 'ok     '], warning: ['yellow', 'warning'], failure: ['red', 'failure'] } as const;

function show(found: readonly Diagnosis[]): void {
  for (const [subject, diagnoses] of Map.groupBy(found, (one) => one.subject)) {
    say`${subject}\n`;
    for (const diagnosis of diagnoses) process.stdout.write(formatDiagnosis(diagnosis));
  }
  const count = (state: Diagnosis['state']): number => found.filter((one) => one.state === state).length;
  say`${counted(found.length, 'check')}: ${counted(count('failure'), 'failure')}, ${counted(count('warning'), 'warning')}\n`;
}

function formatDiagnosis({ state, check, words, hop, next }: Diagnosis): string {
  const [colour, mark] = MARKS[state];
  const further = [...(hop === undefined ? [] : [`where: ${hop}`]), ...(next === undefined ? [] : [`next:  ${next}`])];
  const lines = [
    `${check.padEnd(12)} ${printable(words)}`,
    ...further.map((text) => `${' '.repeat(13)}${printable(text)}`),
  ];
  return `  ${styleText(colour, mark)}  ${lines.join(`\n${' '.repeat(11)}`)}\n`;
}
