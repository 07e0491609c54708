import { shows } from './shows.ts';

shows('links');
