int run_check();

int main() { return run_check(); }
