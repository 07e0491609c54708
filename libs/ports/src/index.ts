export { directionOf, type FarmPlace, type FarmServer, PORTS, type Port, portNamed, SERVERS } from './ports.ts';
