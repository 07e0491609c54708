import dns from 'node:dns';
import { ACROSS, MAIN_NAME } from './places.ts';

// Servers of the branch load this first (`node --import`): it does what DNS does for a real branch, where the name of the main site
// leads over the line. Node looks `dns.lookup` up whenever it connects.
const lookup = dns.lookup as (...all: unknown[]) => void;
dns.lookup = ((host: string, ...rest: unknown[]) =>
  lookup(host === MAIN_NAME ? ACROSS : host, ...rest)) as typeof dns.lookup;
