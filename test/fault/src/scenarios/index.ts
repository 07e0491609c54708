import { nodes } from './nodes.ts';
import type { Scenario } from './scenario.ts';

/** All scenarios by name. */
export const SCENARIOS: Readonly<Record<string, Scenario>> = { nodes };
