import { readFileSync } from 'node:fs';
import { styleText } from 'node:util';
import { type Diagnosis, examineDeviceWay, exitStatusOf, USUAL_LIMITS, type WaitLimits } from '@sallyport/doctor';
import { type Command, Option } from 'commander';
import { CliError, printJson } from '../output.ts';
import { type GlobalOptions, globalsOf } from '../program.ts';
import { settingsOfServer } from '../servers/settings.ts';
import { printable, say } from '../terminal.ts';
import { parseDuration } from '../units.ts';
import { userPath } from '../user-path.ts';
import type { Examination } from './examination.ts';
import { examinationsOfDatabase } from './from-database.ts';
import { examinationsOfProxy } from './from-proxy.ts';
import { examinationsOfSecurity } from './from-security.ts';
import { examinationsOfOwnChannel } from './own-channel.ts';

interface DoctorOptions {
  readonly from: 'security' | 'proxy' | 'database' | 'device';
  readonly env?: string;
  readonly origin?: readonly string[];
  readonly ca?: string;
  readonly directory?: readonly string[];
  readonly backend?: readonly string[];
  readonly host?: readonly string[];
  readonly patroni?: boolean;
  readonly repository?: string;
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
      new Option('--from <place>', 'what this host is: security, proxy, database or device')
        .choices(['security', 'proxy', 'database', 'device'])
        .makeOptionMandatory(),
    )
    .option('--env <file>', 'settings of the server of this host; else the environment, else /etc/sallyport')
    .option('--origin <urls...>', 'where devices come in, like wss://gate.example.com')
    .option('--ca <file>', 'PEM file: the CA that devices trust; that of this system unless given')
    .option('--hold <time>', 'how long a WebSocket is watched for somebody who cuts it; 35s unless given')
    .option('--directory <urls...>', 'from security: directories and providers, like ldaps://dc1.corp')
    .option('--backend <places...>', 'from proxy: backends, host:port')
    .option('--host <names...>', 'from database: the other database hosts')
    .option('--patroni', 'from database: Patroni and etcd run on them')
    .option('--repository <host>', 'from database: where the archive is');
  doctor.action(async (options: DoctorOptions) => {
    const globals = globalsOf(doctor);
    const limits = limitsOf(options);
    const examinations = [...(await examinationsOf(options, globals)), ...wayOfDevices(options)];
    const found = (await Promise.all(examinations.map((examine) => examine(limits)))).flat();
    if (globals.json) printJson({ status: exitStatusOf(found), diagnoses: found });
    else show(found);
    process.exitCode = exitStatusOf(found);
  });
}

function limitsOf({ hold }: DoctorOptions): WaitLimits {
  return hold === undefined ? USUAL_LIMITS : { ...USUAL_LIMITS, holdMs: parseDuration(hold) };
}

async function examinationsOf(options: DoctorOptions, globals: GlobalOptions): Promise<Examination[]> {
  const { data } = globals;
  const place = { file: options.env, data };
  if (options.from === 'security')
    return examinationsOfSecurity(await settingsOfServer('security', place), options.directory ?? []);
  if (options.from === 'proxy')
    return examinationsOfProxy(await settingsOfServer('proxy', place), options.backend ?? []);
  if (options.from === 'database') {
    const { host: hosts = [], patroni = false, repository } = options;
    return examinationsOfDatabase({ folder: data, hosts, patroni, repository });
  }
  const own = examinationsOfOwnChannel(globals);
  if (!options.origin && own.length === 0)
    throw new CliError('where do devices come in?', 'add: --origin wss://gate.example.com');
  return own;
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
  say`${found.length} checks: ${count('failure')} failures, ${count('warning')} warnings\n`;
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
