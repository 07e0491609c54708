import { shows } from './shows.ts';

shows('quota');
