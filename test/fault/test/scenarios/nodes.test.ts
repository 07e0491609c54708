import { shows } from './shows.ts';

shows('nodes');
