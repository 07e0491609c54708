import { shows } from './shows.ts';

shows('durability');
