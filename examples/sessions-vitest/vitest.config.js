import withHarproxy from 'harproxy/vitest';

export default withHarproxy({ test: { include: ['tests/*.test.js'] } });
