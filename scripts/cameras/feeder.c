// Writes one picture into a loopback device again and again, 30 times a second.
//   feeder DEVICE FORMAT WIDTH HEIGHT FILE
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc != 6) return 64;
    char code[5] = "    ";
    memcpy(code, argv[2], strlen(argv[2]) < 4 ? strlen(argv[2]) : 4);
    FILE *file = fopen(argv[5], "rb");
    if (!file) return perror(argv[5]), 66;
    fseek(file, 0, SEEK_END);
    size_t bytes = ftell(file);
    rewind(file);
    char *picture = malloc(bytes);
    if (!picture || fread(picture, 1, bytes, file) != bytes) return 74;
    int device = open(argv[1], O_RDWR);
    if (device < 0) return perror(argv[1]), 69;
    struct v4l2_format format = {.type = V4L2_BUF_TYPE_VIDEO_OUTPUT};
    format.fmt.pix.width = atoi(argv[3]);
    format.fmt.pix.height = atoi(argv[4]);
    format.fmt.pix.pixelformat = v4l2_fourcc(code[0], code[1], code[2], code[3]);
    format.fmt.pix.field = V4L2_FIELD_NONE;
    format.fmt.pix.sizeimage = bytes;
    if (ioctl(device, VIDIOC_S_FMT, &format) < 0) return perror("VIDIOC_S_FMT"), 70;
    for (int n = 0;; n++) {
        if (write(device, picture, bytes) < 0 && errno != EAGAIN) return perror("write"), 74;
        if (n == 0) puts("ready"), fflush(stdout);
        usleep(33000);
    }
}
