import { shows } from './shows.ts';

shows('proxies');
