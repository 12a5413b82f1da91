/* A PKCS#11 module that stands between a program and a real module, takes note of each call, and misbehaves as it is told:
 *
 *   BETWEEN_MODULE  the real module
 *   BETWEEN_LOG     a file to which a line is appended for each call, and for each variable of the environment
 *   BETWEEN_DOES    what it does, and at which function, such as "hang C_GetSlotList"; nothing: it hands everything on
 *   BETWEEN_FLAGS   flags that each token has besides its own, a number
 *   BETWEEN_PLUG    a file: as long as it exists, the tokens are plugged into their slots, which are no readers of any other service
 *
 * It hands on eight words whatever a function takes: on the machines in question a function that takes fewer does not look at
 * the rest. */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

typedef unsigned long word;
typedef word function(word, word, word, word, word, word, word, word);

#define FUNCTIONS(F)                                                                                                           \
    F(0, C_Initialize) F(1, C_Finalize) F(2, C_GetInfo) F(3, C_GetFunctionList) F(4, C_GetSlotList) F(5, C_GetSlotInfo)        \
    F(6, C_GetTokenInfo) F(7, C_GetMechanismList) F(8, C_GetMechanismInfo) F(9, C_InitToken) F(10, C_InitPIN)                  \
    F(11, C_SetPIN) F(12, C_OpenSession) F(13, C_CloseSession) F(14, C_CloseAllSessions) F(15, C_GetSessionInfo)               \
    F(16, C_GetOperationState) F(17, C_SetOperationState) F(18, C_Login) F(19, C_Logout) F(20, C_CreateObject)                 \
    F(21, C_CopyObject) F(22, C_DestroyObject) F(23, C_GetObjectSize) F(24, C_GetAttributeValue)                               \
    F(25, C_SetAttributeValue) F(26, C_FindObjectsInit) F(27, C_FindObjects) F(28, C_FindObjectsFinal) F(29, C_EncryptInit)    \
    F(30, C_Encrypt) F(31, C_EncryptUpdate) F(32, C_EncryptFinal) F(33, C_DecryptInit) F(34, C_Decrypt)                        \
    F(35, C_DecryptUpdate) F(36, C_DecryptFinal) F(37, C_DigestInit) F(38, C_Digest) F(39, C_DigestUpdate)                     \
    F(40, C_DigestKey) F(41, C_DigestFinal) F(42, C_SignInit) F(43, C_Sign) F(44, C_SignUpdate) F(45, C_SignFinal)             \
    F(46, C_SignRecoverInit) F(47, C_SignRecover) F(48, C_VerifyInit) F(49, C_Verify) F(50, C_VerifyUpdate)                    \
    F(51, C_VerifyFinal) F(52, C_VerifyRecoverInit) F(53, C_VerifyRecover) F(54, C_DigestEncryptUpdate)                        \
    F(55, C_DecryptDigestUpdate) F(56, C_SignEncryptUpdate) F(57, C_DecryptVerifyUpdate) F(58, C_GenerateKey)                  \
    F(59, C_GenerateKeyPair) F(60, C_WrapKey) F(61, C_UnwrapKey) F(62, C_DeriveKey) F(63, C_SeedRandom)                        \
    F(64, C_GenerateRandom) F(65, C_GetFunctionStatus) F(66, C_CancelFunction) F(67, C_WaitForSlotEvent)

#define NAME(index, name) #name,
static const char *const names[] = { FUNCTIONS(NAME) };
enum { COUNT = sizeof names / sizeof *names, INITIALIZE = 0, GET_SLOT_LIST = 4, GET_SLOT_INFO = 5, GET_TOKEN_INFO = 6, GET_MECHANISM_LIST = 7,
       GET_ATTRIBUTE_VALUE = 24, FIND_OBJECTS = 27, WAIT_FOR_SLOT_EVENT = 67 };

struct list { unsigned char major, minor; function *functions[COUNT]; };
struct attribute { word type; void *value; word length; };
struct slot { char text[96]; word flags; };
struct token { char text[96]; word flags; word numbers[10]; char rest[20]; };

extern char **environ;
static struct list *real;
static struct list ours;

static void note(const char *line) {
    const char *path = getenv("BETWEEN_LOG");
    int file = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (file < 0) return;
    dprintf(file, "%s\n", line);
    close(file);
}

/* What it does at this function; NULL for nothing. */
static const char *does(int index) {
    const char *does = getenv("BETWEEN_DOES");
    const char *where = does ? strchr(does, ' ') : NULL;
    return where && !strcmp(where + 1, names[index]) ? does : NULL;
}

static int is(const char *what, const char *word) { return what && !strncmp(what, word, strlen(word)); }

/* Claims that there is more than there can be. */
static void exaggerate(int index, word most, word b, word c, word d) {
    switch (index) {
    case GET_SLOT_LIST:
    case GET_MECHANISM_LIST:
        if (!b) *(word *)c = most;
        break;
    case GET_ATTRIBUTE_VALUE:
        for (word i = 0; i < d; i++) ((struct attribute *)c)[i].length = most;
        break;
    case FIND_OBJECTS:
        for (word i = 0; i < c; i++) ((word *)b)[i] = i + 1;
        *(word *)d = c;
        break;
    }
}

/* Answers what no module should. */
static void garble(int index, word b, word c, word d) {
    switch (index) {
    case GET_TOKEN_INFO: {
        struct token *token = (struct token *)b;
        for (unsigned i = 0; i < sizeof token->text; i++) token->text[i] = (char)(i * 37 + 128);
        memset(token->numbers, 0xff, sizeof token->numbers + sizeof token->rest);
        token->flags |= ~0UL;
        break;
    }
    case GET_ATTRIBUTE_VALUE:
        for (word i = 0; i < d; i++) {
            struct attribute *attribute = (struct attribute *)c + i;
            if (attribute->value && attribute->length != ~0UL) memset(attribute->value, 0xa5, attribute->length);
        }
        break;
    case FIND_OBJECTS:
        *(word *)d = c + 100000;
        break;
    }
}

/* Says of keys that they are for signatures alone: `CKA_DECRYPT` and `CKA_UNWRAP` are false. */
static void forbid(int index, word c, word d) {
    for (word i = 0; index == GET_ATTRIBUTE_VALUE && i < d; i++) {
        struct attribute *attribute = (struct attribute *)c + i;
        if ((attribute->type == 0x105 || attribute->type == 0x107) && attribute->value) *(char *)attribute->value = 0;
    }
}

/* Whether the file was missing when this was last told. */
static int missing;

/* Sleeps until the file has come or gone since that was last told. */
static word wait_for(const char *plug, word *slot) {
    char directory[4096], event[4096];
    snprintf(directory, sizeof directory, "%s", plug);
    *strrchr(directory, '/') = 0;
    int watch = inotify_init1(IN_CLOEXEC);
    if (watch < 0 || inotify_add_watch(watch, directory, IN_CREATE | IN_DELETE) < 0) return 5;
    while (access(plug, F_OK) == missing)
        if (read(watch, event, sizeof event) < 0) return 5;
    close(watch);
    missing = access(plug, F_OK);
    *slot = 0;
    return 0;
}

static word pass(int index, word a, word b, word c, word d, word e, word f, word g, word h) {
    note(names[index]);
    const char *what = does(index);
    if (is(what, "hang")) for (;;) pause();
    if (is(what, "crash")) *(volatile int *)(word)index = 1;
    if (is(what, "exit")) _exit(0);
    if (is(what, "fail-")) return strtoul(what + 5, NULL, 0);
    const char *plug = getenv("BETWEEN_PLUG");
    int away = plug && access(plug, F_OK);
    if (plug && index == INITIALIZE) missing = access(plug, F_OK);
    if (plug && index == WAIT_FOR_SLOT_EVENT) return wait_for(plug, (word *)b);
    if (away && index == GET_TOKEN_INFO) return 0xe0;
    if (away && index == GET_SLOT_LIST && (char)a) return *(word *)c = 0;
    word result = real->functions[index](a, b, c, d, e, f, g, h);
    if (plug && index == GET_SLOT_INFO) ((struct slot *)b)->flags = away ? 2 : 3;
    if (is(what, "die")) kill(getpid(), SIGKILL);
    if (is(what, "many-")) exaggerate(index, strtoul(what + 5, NULL, 0), b, c, d), result = 0;
    if (is(what, "forbid")) forbid(index, c, d);
    if (is(what, "garble")) garble(index, b, c, d);
    const char *flags = getenv("BETWEEN_FLAGS");
    if (index == GET_TOKEN_INFO && flags) ((struct token *)b)->flags |= strtoul(flags, NULL, 0);
    return result;
}

#define DEFINE(index, name)                                                                                                    \
    static word our_##name(word a, word b, word c, word d, word e, word f, word g, word h) {                                   \
        return pass(index, a, b, c, d, e, f, g, h);                                                                            \
    }
FUNCTIONS(DEFINE)
#define LIST(index, name) our_##name,

word C_GetFunctionList(struct list **list) {
    char input[256] = "";
    char line[300];
    for (char **variable = environ; *variable; variable++) {
        snprintf(line, sizeof line, "environment %s", *variable);
        note(line);
    }
    if (readlink("/proc/self/fd/0", input, sizeof input - 1) < 0) return 5;
    snprintf(line, sizeof line, "input %s", input);
    note(line);
    const char *path = getenv("BETWEEN_MODULE");
    void *library = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    word (*get)(struct list **) = library ? (word (*)(struct list **))dlsym(library, "C_GetFunctionList") : NULL;
    word result = get ? get(&real) : 5;
    if (result) return result;
    ours = (struct list){ real->major, real->minor, { FUNCTIONS(LIST) } };
    *list = &ours;
    return 0;
}
