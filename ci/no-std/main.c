/* Runs what was built without std: 0 if it works and decodes as every other build does. */
#include <stddef.h>

size_t qis_no_std(void);
size_t qis_no_std_wrong(void);

/* The precompiled core and alloc name it for unwinding, which panic = "abort" leaves out. */
void rust_eh_personality(void) {}

int main(void) {
    return qis_no_std() == 3 && qis_no_std_wrong() == 0 ? 0 : 1;
}
