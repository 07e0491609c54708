export { chartSchema, type KnownChart, settingsGivenBy, type ValueSchema } from './chart-schema.ts';
export { judgeChartValues, type ValuesFile } from './chart-values.ts';
export { type EnvironmentSource, judgeEnvironment, type KnownServer } from './environment.ts';
export { parseEnvironmentFile, type SetVariable } from './environment-file.ts';
export { formatFault, type LintFault } from './fault.ts';
export { checkStart, type StartingServer } from './process.ts';
export { judgeRealm, type RealmSetup } from './realm.ts';
export { doubtsOfResource } from './resource-doubts.ts';
