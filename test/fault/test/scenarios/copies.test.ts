import { shows } from './shows.ts';

shows('copies');
