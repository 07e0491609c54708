import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import { ACROSS, MAIN_NAME } from './places.ts';

// Servers of the branch load this first (`node --import`): it does what DNS does for a real branch, where the name of the main site
// leads over the line. Node looks `dns.lookup` up whenever it connects; a Proxy looks the names of backends up by the promises.
const there = (host: string): string => (host === MAIN_NAME ? ACROSS : host);
const lookup = dns.lookup as (...all: unknown[]) => void;
dns.lookup = ((host: string, ...rest: unknown[]) => lookup(there(host), ...rest)) as typeof dns.lookup;
const promised = dns.promises.lookup as (...all: unknown[]) => Promise<unknown>;
dns.promises.lookup = ((host: string, ...rest: unknown[]) =>
  promised(there(host), ...rest)) as typeof dns.promises.lookup;
// Imports by name see it, too.
syncBuiltinESMExports();
