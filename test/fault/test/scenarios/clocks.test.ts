import { shows } from './shows.ts';

shows('clocks');
