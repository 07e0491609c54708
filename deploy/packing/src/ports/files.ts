import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SERVERS } from '@sallyport/ports';
import { ROOT } from '../source.ts';
import { chartPorts } from './chart.ts';
import { withPorts } from './documents.ts';
import { nftRules, ufwProfile, wordOf } from './firewall.ts';

const DOCUMENT = 'docs/ports.md';

/** All files that are made from the table of ports, by their paths from the root, as they should be. */
export function portFiles(): ReadonlyMap<string, string> {
  return new Map([
    [DOCUMENT, withPorts(readFileSync(join(ROOT, DOCUMENT), 'utf8'))],
    ['deploy/kubernetes/chart/files/ports.yaml', chartPorts()],
    ...SERVERS.flatMap((host): [string, string][] => [
      [`deploy/firewall/${wordOf(host)}.nft`, nftRules(host)],
      [`deploy/firewall/ufw/sallyport-${wordOf(host)}`, ufwProfile(host)],
    ]),
  ]);
}
