import { shows } from './shows.ts';

shows('archive');
