import { renameSync, writeFileSync } from 'node:fs';
import { parseArgs, styleText } from 'node:util';
import { isIsolated, runIsolated } from '@sallyport/support';
import { type EarlierVersion, prepareVersion } from './earlier-version.ts';
import { OMITTED_RULES } from './omitted-rules.ts';
import { SCENARIOS } from './scenarios/index.ts';
import type { Scale, Scenario } from './scenarios/scenario.ts';
import { sideBySide } from './side-by-side.ts';
import { say } from './stores.ts';
import type { Tally } from './tally.ts';

const HELP = `npm run fault -- <scenario> [--short] [--seed N] [--sessions N] [--rounds N] [--minutes N] [--farms N] [--save file] [--without RULE] [--before VERSION]

Scenarios (each starts a whole farm in network namespaces of its own; needs root):
${Object.entries(SCENARIOS)
  .map(([name, { about }]) => `  ${name.padEnd(12)} ${about}`)
  .join('\n')}

--farms makes the rounds on so many farms at a time, a few on each, and adds up what they found; --save is written as it goes.
--before begins with an earlier version, which goes, comes back and goes again (rolling): a tag, a commit, a folder with the project as it
was, or last: the last tag, and while nothing is released the last commit with another schema.
--without leaves one of the rules out, to show that its scenario fails then:
${Object.entries(OMITTED_RULES)
  .map(([rule, { scenario }]) => `  ${rule.padEnd(12)} ${scenario}`)
  .join('\n')}
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    short: { type: 'boolean', default: false },
    seed: { type: 'string' },
    sessions: { type: 'string' },
    rounds: { type: 'string' },
    minutes: { type: 'string' },
    farms: { type: 'string' },
    save: { type: 'string' },
    without: { type: 'string' },
    before: { type: 'string' },
  },
});

/** The servers, which are processes of their own, are told by their environment. */
function leaveOut(rule: string): void {
  if (!OMITTED_RULES[rule]) throw new Error(`there is no rule ${rule}\n\n${HELP}`);
  process.env['RIG_WITHOUT'] = rule;
  say(`without the rule: ${rule}`);
}

function print(name: string, tally: Tally): void {
  const width = Math.max(...tally.checks.map(({ what }) => what.length), 20);
  process.stdout.write(`\n${styleText('bold', name)}\n`);
  for (const { what, found, wanted, ok, timed } of tally.checks) {
    const bad = timed && values.short ? styleText('yellow', 'slow') : styleText('red', 'FAIL');
    const mark = ok ? styleText('green', 'ok  ') : bad;
    process.stdout.write(`${mark} ${what.padEnd(width)}  ${found}  (${wanted})\n`);
  }
  for (const [what, value] of Object.entries(tally.numbers)) process.stdout.write(`     ${what}: ${value}\n`);
}

function scenarioOf(name: string): Scenario {
  const scenario = SCENARIOS[name];
  if (!scenario) throw new Error(`there is no scenario ${name}\n\n${HELP}`);
  if (values.before !== undefined && !scenario.takesBefore)
    throw new Error(`${name} takes no version before: leave out --before`);
  return scenario;
}

/** The version before, fetched where there is a network: inside of the farm's there is no registry. */
function versionBefore(): EarlierVersion | undefined {
  return values.before === undefined ? undefined : prepareVersion(values.before);
}

async function runScenario(name: string): Promise<boolean> {
  const scenario = scenarioOf(name);
  const before = versionBefore();
  const size = values.short ? scenario.short : scenario.long;
  const scale: Scale = {
    seed: Number(values.seed ?? (Math.random() * 2 ** 31) | 0),
    sessions: Number(values.sessions ?? size.sessions),
    rounds: Number(values.rounds ?? size.rounds),
    minutes: Number(values.minutes ?? size.minutes ?? 0),
    ...(before ? { before } : {}),
  };
  say(`${name}: seed ${scale.seed}, ${scale.sessions} sessions, ${scale.rounds} rounds`);
  const tally = await (values.farms === undefined ? scenario.run(scale) : runSideBySide(name, scale));
  print(name, tally);
  save(name, scale, tally);
  return tally.holds(!values.short);
}

function runSideBySide(scenario: string, scale: Scale): Promise<Tally> {
  const progress = (tally: Tally, rounds: number): void => {
    const bad = tally.checks.filter(({ ok }) => !ok).map(({ what, found }) => `${what}: ${found}`);
    say(`${rounds} of ${scale.rounds} rounds; ${bad.length === 0 ? 'all as it must be' : bad.join(', ')}`);
    save(scenario, { ...scale, rounds }, tally);
  };
  const options = [
    ...(values.short ? ['--short'] : []),
    ...(values.without ? ['--without', values.without] : []),
    ...(values.before ? ['--before', values.before] : []),
  ];
  const { roundsOfAFarm } = SCENARIOS[scenario]!;
  return sideBySide({ scenario, scale, farms: Number(values.farms), roundsOfAFarm, options, progress });
}

function save(name: string, scale: Scale, tally: Tally): void {
  if (!values.save) return;
  const draft = `${values.save}.part`;
  writeFileSync(draft, `${JSON.stringify({ name, ...scale, ...tally }, null, 2)}\n`);
  renameSync(draft, values.save);
}

async function runAll(): Promise<never> {
  if (values.without !== undefined) leaveOut(values.without);
  let ok = true;
  for (const name of positionals) ok = (await runScenario(name)) && ok;
  process.exit(ok ? 0 : 1);
}

function prepareAndIsolate(): void {
  for (const name of positionals) scenarioOf(name);
  versionBefore();
  runIsolated();
}

if (positionals.length === 0) process.stdout.write(HELP);
// Many farms are programs of their own, each with its namespaces.
else if (!isIsolated() && values.farms === undefined) prepareAndIsolate();
else await runAll();
