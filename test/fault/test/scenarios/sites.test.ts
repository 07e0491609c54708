import { shows } from './shows.ts';

shows('sites');
