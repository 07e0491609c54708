export { type DatabaseWay, examineDatabase } from './database.ts';
export { type Diagnosis, exitStatusOf, type Leg, USUAL_LIMITS, type WaitLimits } from './diagnosis.ts';
export { examineCertificate, type OwnCertificate, readNamed } from './files.ts';
export { examineDisk, examineOpenFiles, type FileDemand } from './host.ts';
export { examineRedis, type RedisWay } from './redis.ts';
export { examineService, type ServiceWay } from './service.ts';
export { type DeviceWay, examineDeviceWay } from './web-socket.ts';
