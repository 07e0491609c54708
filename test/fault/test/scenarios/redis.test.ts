import { shows } from './shows.ts';

shows('redis');
